"""The catalogue: finding, listing, pinning and deleting what was published."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from uuid import UUID

import structlog

from services.dataset.app.pages import Page, filled
from services.dataset.domain.catalogue import Dataset, DatasetPinned, Listing
from services.dataset.domain.events import EventKind
from services.dataset.domain.manifest import Manifest
from services.dataset.domain.updates import Update, updated
from services.dataset.storage.protocol import Catalogue
from services.shared.errors import Stage1Error
from services.shared.series import SeriesStore

log = structlog.get_logger()


class Datasets:
    """Datasets are named by UUID or slug; without a version the newest is meant."""

    def __init__(self, *, catalogue: Catalogue, series: SeriesStore) -> None:
        self._catalogue = catalogue
        self._series = series
        self._removals: set[asyncio.Task[None]] = set()

    async def get(self, name: UUID | str) -> tuple[Dataset, Sequence[int]]:
        async with self._catalogue.transaction() as catalogue:
            dataset = await catalogue.dataset(name)
            return dataset, await catalogue.versions(dataset.dataset_id)

    async def list(self, listing: Listing) -> Page[Dataset]:
        """Manifests are read one by one, and no more of them than the page takes."""
        async with self._catalogue.transaction() as catalogue:
            found = catalogue.datasets(listing)
            return await filled(found, size=listing.page_size, size_bytes=listing.page_bytes)

    async def update(self, name: UUID | str, update: Update) -> Dataset:
        """What is said already changes nothing and is no event."""
        async with self._catalogue.transaction() as catalogue:
            before = await catalogue.dataset(await catalogue.lock(name))
            after = updated(before, update)
            if after == before:
                return before
            return await catalogue.describe(after)

    async def manifest(self, name: UUID | str, version: int | None) -> Manifest:
        async with self._catalogue.transaction() as catalogue:
            return (await catalogue.dataset(name, version)).manifest

    async def pin(self, name: UUID | str, version: int | None, holder: str) -> Manifest:
        async with self._catalogue.transaction() as catalogue:
            dataset_id = await catalogue.lock(name)
            manifest = (await catalogue.dataset(dataset_id, version)).manifest
            await catalogue.pin(dataset_id, manifest.version, holder)
            return manifest

    async def unpin(self, holder: str) -> None:
        async with self._catalogue.transaction() as catalogue:
            await catalogue.unpin(holder)

    async def delete(self, name: UUID | str, *, force: bool) -> None:
        """Raises DatasetPinned unless forced or nobody needs it.

        It goes on when its caller gives up, so that the tables go at once where they can.
        """
        removal = asyncio.create_task(self._remove(name, force))
        self._removals.add(removal)
        removal.add_done_callback(self._removals.discard)
        await asyncio.shield(removal)

    async def drained(self) -> None:
        """Until no delete is under way."""
        if self._removals:
            await asyncio.wait(self._removals)

    async def _remove(self, name: UUID | str, force: bool) -> None:
        async with self._catalogue.transaction() as catalogue:
            dataset_id = await catalogue.lock(name)
            holders = await catalogue.holders(dataset_id)
            if holders and not force:
                raise DatasetPinned(_pinned(name, holders))
            tables = await catalogue.bury(dataset_id)
            await catalogue.note(EventKind.DELETED, dataset_id)
        try:
            for table in tables:
                await self._series.drop(table)
        except Stage1Error as error:  # the dataset is gone; its tables are left to the collector
            log.warning("tables_not_dropped", dataset=str(name), error=str(error))


def _pinned(name: UUID | str, holders: Sequence[str]) -> str:
    more = f" and {len(holders) - 3} more" if len(holders) > 3 else ""
    needed = ", ".join(holders[:3])
    return f"Dataset {name} is needed by the runs {needed}{more}: delete these, or force it."
