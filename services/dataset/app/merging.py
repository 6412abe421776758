"""From the intent of an append to its publication: there is only forward.

Every step can be taken again, by another process and by two at once: merging rows that are
there changes nothing, and only one publishes. So whoever finds an intent finishes it.
"""

from __future__ import annotations

import asyncio
from uuid import UUID
from weakref import WeakValueDictionary

import structlog

from services.dataset.app.hashing import columns_of, hashes_in, read_hash
from services.dataset.app.staging import check_read
from services.dataset.domain.catalogue import Intent, Publication, Published
from services.dataset.domain.columns import Table
from services.dataset.domain.manifest import measurement, rows_of, watermark
from services.dataset.storage.protocol import Catalogue
from services.shared.canonical import BLOCK_ROWS, TableHash
from services.shared.errors import Stage1Error
from services.shared.failpoints import reach
from services.shared.series import Rows, SeriesStore

log = structlog.get_logger()


class Merges:
    def __init__(self, *, catalogue: Catalogue, series: SeriesStore) -> None:
        self._catalogue = catalogue
        self._series = series
        self._growing: WeakValueDictionary[UUID, asyncio.Lock] = WeakValueDictionary()

    def growing(self, dataset_id: UUID) -> asyncio.Lock:
        """Held by the one append of a dataset that this process is working on."""
        return self._growing.setdefault(dataset_id, asyncio.Lock())

    async def resume(self, slug: str) -> None:
        """Finish what is intended for this slug; its lock is held. Raises what `finish` raises."""
        async with self._catalogue.transaction() as catalogue:
            intents = await catalogue.intents(slug)
        for intent in intents:
            published = await self.finish(intent)
            log.info("append_resumed", slug=slug, version=published.dataset.version)

    async def finish(self, intent: Intent) -> Published:
        """Raises ImportOvertaken when another was faster, which may have been the same append."""
        manifest = intent.publication.manifest
        for table, staged in intent.staged.items():
            await self._series.merge(staged, measurement(manifest, table))
        await reach("append.merged")
        for table in intent.staged:
            await self._series.settle(measurement(manifest, table))
        await reach("append.merge_settled")
        for table in intent.staged:
            await self._reread(intent.publication, table)
        await reach("append.reread")
        async with self._catalogue.transaction() as catalogue:
            dataset = await catalogue.publish(intent.publication)
            await reach("append.publishing")
        await reach("append.published")
        log.info("dataset_published", slug=dataset.slug, version=dataset.version)
        await self._drop(intent)
        await reach("append.dropped")
        return Published(dataset=dataset, report=intent.publication.report)

    async def _reread(self, publication: Publication, table: Table) -> None:
        """The blocks that were not whole before, up to the new last row."""
        manifest, counts = publication.manifest, publication.report.counts
        ohlcv = table is Table.OHLCV
        blocks = publication.ohlcv_block_hashes if ohlcv else publication.indicator_block_hashes
        rows = rows_of(manifest, table)
        whole = (rows - (counts.ohlcv_rows if ohlcv else counts.indicator_rows)) // BLOCK_ROWS
        name, columns, hashes = (
            measurement(manifest, table),
            columns_of(manifest, table),
            hashes_in(blocks),
        )
        found = await read_hash(
            self._series,
            name,
            columns,
            kept=hashes[:whole],
            span=Rows(whole * BLOCK_ROWS, rows + 1),  # one more would show
            below_ms=watermark(manifest, table),
        )
        check_read(name, found, TableHash(columns=columns, block_hashes=hashes, rows=rows))

    async def _drop(self, intent: Intent) -> None:
        """What is left here is dropped by the collector."""
        try:
            for staged in intent.staged.values():
                await self._series.drop(staged)
        except Stage1Error as error:
            log.warning("staged_tables_not_dropped", error=str(error))
