"""Datasets, their versions, and the life of an import."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, NamedTuple
from uuid import UUID

from services.dataset.domain.columns import Table
from services.dataset.domain.manifest import Manifest
from services.shared.errors import AlreadyExists, Conflict, Unavailable


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """A catalogue entry with the manifest of its newest version."""

    dataset_id: UUID
    slug: str
    symbol: str
    granularity: str
    source: str
    metadata: Mapping[str, str]
    manifest: Manifest
    created_at_ms: int
    updated_at_ms: int

    @property
    def version(self) -> int:
        return self.manifest.version

    @property
    def max_message_bytes(self) -> int:
        """An upper bound of its size in an answer, without encoding it."""
        pairs = [*self.metadata.items(), (self.slug, self.symbol), (self.granularity, self.source)]
        texts = sum(len(key.encode()) + len(value.encode()) + 20 for key, value in pairs)
        return 200 + texts + self.manifest.max_message_bytes


class ImportKind(StrEnum):
    IMPORT = "IMPORT"
    APPEND = "APPEND"
    ADOPTION = "ADOPTION"


class ImportState(StrEnum):
    RECEIVED = "RECEIVED"
    SPOOLED = "SPOOLED"
    LOADING = "LOADING"
    VERIFIED = "VERIFIED"
    MERGING = "MERGING"
    PUBLISHED = "PUBLISHED"
    CLEANED = "CLEANED"
    REJECTED = "REJECTED"
    ABANDONED = "ABANDONED"


_NEXT: Final[Mapping[ImportState, frozenset[ImportState]]] = {
    ImportState.RECEIVED: frozenset({ImportState.SPOOLED}),
    ImportState.SPOOLED: frozenset({ImportState.LOADING}),
    ImportState.LOADING: frozenset({ImportState.VERIFIED}),
    ImportState.VERIFIED: frozenset({ImportState.MERGING, ImportState.PUBLISHED}),
    ImportState.MERGING: frozenset({ImportState.PUBLISHED}),
    ImportState.PUBLISHED: frozenset({ImportState.CLEANED}),
}
IN_FLIGHT: Final = frozenset(
    {ImportState.RECEIVED, ImportState.SPOOLED, ImportState.LOADING, ImportState.VERIFIED}
)


def states_before(state: ImportState) -> frozenset[ImportState]:
    """Whatever has no intent yet and is not published can still be rejected or abandoned."""
    if state in {ImportState.REJECTED, ImportState.ABANDONED}:
        return IN_FLIGHT
    return frozenset(before for before, after in _NEXT.items() if state in after)


class Cursor(NamedTuple):
    """The last dataset of the page before."""

    created_at_ms: int
    dataset_id: UUID


@dataclass(frozen=True, kw_only=True)
class Listing:
    """Filters are exact but `text`: a part of slug, symbol or source in any case.

    A page ends before it is over `page_bytes`, but has one dataset in any case.
    """

    symbol: str | None = None
    granularity: str | None = None
    text: str | None = None
    after: Cursor | None = None
    skip: int = 0
    page_size: int = 50
    page_bytes: int = 3 << 20


class Attempt(NamedTuple):
    version: int
    ohlcv_measurement: str
    indicator_measurement: str | None


@dataclass(frozen=True, kw_only=True)
class Counts:
    """Rows of an append: new ones, and ones that were there with the same values."""

    ohlcv_rows: int = 0
    indicator_rows: int = 0
    repeated_ohlcv_rows: int = 0
    repeated_indicator_rows: int = 0


@dataclass(frozen=True, kw_only=True)
class Report:
    """What an import found and decided, one sentence each; columns and gaps are the manifest's."""

    notes: tuple[str, ...]
    warnings: tuple[str, ...]
    trimmed_head_rows: int
    trimmed_tail_rows: int
    counts: Counts = Counts()
    """Of an append alone."""


@dataclass(frozen=True)
class Repeatable:
    """A caller's key and the SHA-256 of all that came with it."""

    key: str
    body_sha256: str


@dataclass(frozen=True, kw_only=True)
class Published:
    """The answer of an import: the dataset as it was at that version."""

    dataset: Dataset
    report: Report


class Said(NamedTuple):
    """Of a dataset, beside its rows. None leaves it as it then is."""

    symbol: str | None = None
    granularity: str | None = None
    source: str | None = None
    metadata: Mapping[str, str] | None = None


@dataclass(frozen=True, kw_only=True)
class Publication:
    """Everything that one transaction makes true; block hashes are end to end.

    The manifest was made before, from the dataset as it was; `said` is what the dataset is to
    be from now on, so that an update that came in between is not undone.
    """

    import_id: UUID
    manifest: Manifest
    said: Said
    is_new: bool
    report: Report
    ohlcv_block_hashes: bytes
    indicator_block_hashes: bytes
    repeatable: Repeatable | None


@dataclass(frozen=True)
class Intent:
    """An append from which there is only forward, and the tables its rows are staged in."""

    publication: Publication
    staged: Mapping[Table, str]


class BlockHashes(NamedTuple):
    """Of both tables of a version, end to end."""

    ohlcv: bytes
    indicators: bytes


class SlugTaken(AlreadyExists):
    reason = "SLUG_TAKEN"


def slug_taken(slug: str) -> SlugTaken:
    return SlugTaken(
        f"There is a dataset {slug} already: give its dataset_id to publish a new version of it."
    )


class KeyReused(AlreadyExists):
    reason = "IDEMPOTENCY_KEY_REUSED"


class KeySpent(Conflict):
    """What it made was deleted since."""

    reason = "IDEMPOTENCY_KEY_SPENT"


class ImportOvertaken(Conflict):
    """Another import of the same dataset was published first."""

    reason = "IMPORT_OVERTAKEN"


class VersionChanged(Conflict):
    reason = "VERSION_CHANGED"


class AppendUnderWay(Unavailable):
    """Another append of the same dataset has its intent, and goes first."""

    reason = "APPEND_UNDER_WAY"


class AppendUnfinished(Unavailable):
    """It has its intent, so it is finished as soon as what kept it has gone."""

    reason = "APPEND_UNFINISHED"


class DatasetPinned(Conflict):
    reason = "DATASET_PINNED"
