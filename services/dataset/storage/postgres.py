"""The catalogue on PostgreSQL."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

from psycopg.types.json import Jsonb

from services.dataset.domain.catalogue import Dataset, Listing
from services.dataset.domain.events import EventKind
from services.dataset.storage.history import HistoryRows
from services.dataset.storage.inspection import InspectionRows
from services.dataset.storage.manifests import Manifests
from services.dataset.storage.publishing import PublishingRows
from services.dataset.storage.rows import dataset_of, named, tables_in, unknown
from services.shared.clock import Clock
from services.shared.postgres import Pool, transaction


class PostgresCatalogue:
    """`on_events` is called after the COMMIT of every transaction that noted an event."""

    def __init__(
        self, pool: Pool, clock: Clock, on_events: Callable[[], None] = lambda: None
    ) -> None:
        self._pool = pool
        self._clock = clock
        self._on_events = on_events
        self.manifests = Manifests()

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[PostgresTransaction]:
        async with transaction(self._pool) as connection:
            begun = PostgresTransaction(connection, self._clock(), self.manifests)
            yield begun
        if begun.has_events:
            self._on_events()


class PostgresTransaction(PublishingRows, HistoryRows, InspectionRows):
    async def dataset(self, name: UUID | str, version: int | None = None) -> Dataset:
        row = await self._one("find_dataset", named(name) | {"version": version})
        if row is None:
            raise unknown(name, version)
        return await self._dataset(row)

    async def exists(self, slug: str) -> bool:
        return await self._one("find_dataset", named(slug) | {"version": None}) is not None

    async def datasets(self, listing: Listing) -> AsyncGenerator[Dataset]:
        pattern = None if listing.text is None else f"%{_escaped(listing.text)}%"
        after_ms, after_id = listing.after or (None, None)
        values = {
            "symbol": listing.symbol,
            "granularity": listing.granularity,
            "pattern": pattern,
            "after_ms": after_ms,
            "after_id": after_id,
            "skip": listing.skip,
            "limit": listing.page_size + 1,
        }
        for row in await self._all("list_datasets", values):
            yield await self._dataset(row)

    async def versions(self, dataset_id: UUID) -> Sequence[int]:
        rows = await self._all("list_versions", {"dataset_id": dataset_id})
        return [row["version"] for row in rows]

    async def lock(self, name: UUID | str) -> UUID:
        row = await self._one("lock_dataset", named(name))
        if row is None:
            raise unknown(name)
        dataset_id: UUID = row["dataset_id"]
        return dataset_id

    async def describe(self, dataset: Dataset) -> Dataset:
        values = {
            "dataset_id": dataset.dataset_id,
            "symbol": dataset.symbol,
            "granularity": dataset.granularity,
            "source": dataset.source,
            "metadata": Jsonb(dataset.metadata),
        }
        await self._do("update_dataset", values)
        await self.note(EventKind.UPDATED, dataset.dataset_id)
        return await self.dataset(dataset.dataset_id)

    async def pin(self, dataset_id: UUID, version: int, holder: str) -> None:
        values = {"dataset_id": dataset_id, "version": version, "holder": holder}
        await self._do("insert_pin", values)

    async def unpin(self, holder: str) -> None:
        await self._do("delete_pins_of_holder", {"holder": holder})

    async def holders(self, dataset_id: UUID) -> Sequence[str]:
        rows = await self._all("list_pins", {"dataset_id": dataset_id})
        return [row["holder"] for row in rows]

    async def bury(self, dataset_id: UUID) -> Sequence[str]:
        values = {"dataset_id": dataset_id}
        await self._do("delete_pins_of_dataset", values)
        buried = await self._one("bury_dataset", values)
        assert buried is not None
        error = f"Dataset {dataset_id} was deleted."
        await self._do("abandon_intent", {**buried, "error": error})
        return tables_in(await self._all("tables_of_dataset", values))

    async def watermarks(self, tables: Sequence[str]) -> Mapping[str, int]:
        rows = await self._all("watermarks_of_tables", {"tables": list(tables)})
        return {row["table"]: row["below_ms"] for row in rows}

    async def _dataset(self, row: Mapping[str, Any]) -> Dataset:
        """Whether it is there is always asked."""
        return dataset_of(row, await self._manifest(row["dataset_id"], row["version"]))


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
