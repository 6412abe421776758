"""What an import is asked to do, once it is well formed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

from services.dataset.domain.columns import ColumnType, Table, Target
from services.dataset.domain.manifest import Manifest
from services.dataset.domain.timeline import Clock, GapPolicy
from services.dataset.domain.times import DAY_MS
from services.dataset.formats.options import Options


@dataclass(frozen=True, kw_only=True)
class Part:
    """One file; `options` say how to read it."""

    table: Table
    file_name: str
    options: Options

    def with_texts(self, columns: Iterable[str]) -> Part:
        """These stay text, by our names, whatever their rows hold."""
        theirs = self.options.columns
        names = (*self.options.text_columns, *(theirs.get(name, name) for name in columns))
        options = replace(self.options, text_columns=tuple(dict.fromkeys(names)))
        return replace(self, options=options)

    def as_known(self, manifest: Manifest) -> Part:
        """With the columns of text that a version has, and as long bars."""
        columns = manifest.columns_of(self.table)
        part = self.with_texts(c.name for c in columns if c.type is ColumnType.STRING)
        is_intraday = manifest.bar_interval_ms < DAY_MS
        return replace(part, options=replace(part.options, is_intraday=is_intraday))


@dataclass(frozen=True, kw_only=True)
class ImportOrder:
    """Empty texts are to be taken from the dataset's version before, or from the bars.

    `expected` holds the fields of a manifest that came along. `header_sha256`
    stands for all that was asked, but not for the key.
    """

    slug: str
    dataset_id: UUID | str | None
    """Or its slug."""
    symbol: str
    granularity: str
    source: str
    metadata: Mapping[str, str]
    parts: tuple[Part, ...]
    clock: Clock
    targets: tuple[Target, ...]
    expected: Mapping[str, Any]
    idempotency_key: str
    header_sha256: str


@dataclass(frozen=True, kw_only=True)
class AppendOrder:
    """New rows for the end of a dataset. Without a gap policy the dataset's own holds."""

    dataset: UUID | str
    parts: tuple[Part, ...]
    gap_policy: GapPolicy | None
    expected_version: int | None
    idempotency_key: str
    header_sha256: str


@dataclass(frozen=True)
class PartBytes:
    part: int
    data: bytes
