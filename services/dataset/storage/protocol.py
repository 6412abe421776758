"""What the dataset service needs of its catalogue."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Protocol
from uuid import UUID

from services.dataset.domain.catalogue import (
    Attempt,
    BlockHashes,
    Dataset,
    ImportKind,
    ImportState,
    Intent,
    Listing,
    Publication,
    Published,
    Repeatable,
    Report,
)
from services.dataset.domain.events import EventKind, Log
from services.dataset.domain.imports import ImportListing, ImportRecord, VersionListing
from services.dataset.domain.manifest import Manifest
from services.dataset.domain.records import Inventory, VersionRecord


class Catalogue(Protocol):
    def transaction(self) -> AbstractAsyncContextManager[CatalogueTransaction]:
        """All of it or none of it."""


class CatalogueTransaction(Protocol):
    """A dataset is named by its UUID or its slug; deleted ones are not found."""

    async def dataset(self, name: UUID | str, version: int | None = None) -> Dataset:
        """With the manifest of that version, else of the newest. Raises NotFound."""

    async def exists(self, slug: str) -> bool: ...

    def datasets(self, listing: Listing) -> AsyncGenerator[Dataset]:
        """Newest first, each read when it is asked for; one more than a page holds if there is."""

    async def versions(self, dataset_id: UUID) -> Sequence[int]: ...

    async def lock(self, name: UUID | str) -> UUID:
        """Nobody else deletes, pins or locks it until the transaction ends. Raises NotFound."""

    async def describe(self, dataset: Dataset) -> Dataset:
        """What is said of it from now on, and the event of that; it is locked."""

    async def note(self, kind: EventKind, dataset_id: UUID) -> None:
        """An event of a dataset as it is now. The last thing in a transaction: publications
        wait for each other from here to the COMMIT."""

    async def last_event(self) -> int: ...

    async def events_after(self, sequence: int, name: UUID | str | None, limit: int) -> Log:
        """In order, of one dataset or all, deleted ones too. Raises CursorTooOld."""

    async def refuse_unknown(self, name: UUID | str) -> None:
        """Raises NotFound unless it is there or was once."""

    def manifests(self, dataset_id: UUID, listing: VersionListing) -> AsyncGenerator[Manifest]:
        """As `datasets`."""

    def imports(self, listing: ImportListing) -> AsyncGenerator[ImportRecord]:
        """As `datasets`."""

    async def import_(self, import_id: UUID) -> ImportRecord:
        """Raises NotFound."""

    async def version_record(self, name: UUID | str, version: int | None) -> VersionRecord:
        """As it is stored now. Raises NotFound, and DataLoss for a damaged manifest."""

    async def inventory(self) -> Inventory: ...

    async def pin(self, dataset_id: UUID, version: int, holder: str) -> None:
        """Of a version that is there; a pin that is there already stays."""

    async def unpin(self, holder: str) -> None: ...

    async def holders(self, dataset_id: UUID) -> Sequence[str]: ...

    async def bury(self, dataset_id: UUID) -> Sequence[str]:
        """Delete it and its pins, leaving a tombstone. Gives the tables nobody needs now."""

    async def receive(self, import_id: UUID, kind: ImportKind, slug: str, owner: UUID) -> None: ...

    async def move(self, import_id: UUID, state: ImportState) -> None:
        """Raises ImportOvertaken when the import may not come to this state any more."""

    async def end(self, import_id: UUID, state: ImportState, error: str) -> Sequence[str]:
        """Reject or abandon it. Gives the tables nobody needs now: none when it was published,
        or has an intent."""

    async def clean(self, import_id: UUID) -> None:
        """It was answered. One that was answered with nothing done is forgotten."""

    async def reserve(self, import_id: UUID, slug: str, *, indicators: bool) -> Attempt:
        """Move to LOADING with a version and tables that no other import has."""

    async def publish(self, publication: Publication) -> Dataset:
        """The dataset as it is now. Raises ImportOvertaken, SlugTaken, NotFound, and KeyReused
        unless there was an intent.

        An intent that another append of this dataset still has is abandoned by it.
        """

    async def intend(self, publication: Publication) -> None:
        """Move to MERGING, and take the key. Raises ImportOvertaken when the version before is not
        the newest, AppendUnderWay when another append has its intent, KeyReused, NotFound."""

    async def intents(self, slug: str | None = None) -> Sequence[Intent]:
        """Appends that are MERGING, of one slug or all."""

    async def block_hashes(self, dataset_id: UUID, version: int) -> BlockHashes: ...

    async def answer(self, repeatable: Repeatable) -> Published | None:
        """What was answered to this key; None also while its append is MERGING. Raises KeyReused
        when it came with another body, KeySpent when the dataset was deleted since."""

    async def keep_answer(self, repeatable: Repeatable, manifest: Manifest, report: Report) -> None:
        """Of an append that found nothing new. Raises KeyReused."""

    async def knows_key(self, key: str) -> bool:
        """Raises KeySpent."""

    async def forget_answers(self) -> None:
        """Of keys that are too old."""

    async def in_flight(self, owner: UUID) -> Sequence[UUID]:
        """Imports of this process that have no intent and are neither published nor ended."""

    async def abandon(self, error: str, import_ids: Sequence[UUID] | None) -> int:
        """Those of these imports, or of all, that are in flight. Gives their number. Those that
        have an intent or are published stay."""

    async def published(self, running: Sequence[UUID]) -> Sequence[UUID]:
        """Imports that are PUBLISHED and not cleaned, but for those still under way."""

    async def watermarks(self, tables: Sequence[str]) -> Mapping[str, int]:
        """Of those of these that published versions read, each as the newest of them has it."""

    async def tables_of_the_dead(self, tables: Sequence[str]) -> Sequence[str]:
        """Which of these belong to deleted datasets, to imports that came to nothing, or were
        only staged by appends that are through."""
