"""What is left to do when a process, a store or a connection went away in the middle.

Attempts of the process before are ended at the start. Appends that have their intent are
finished, attempts that lost are ended, and the tables nobody needs are dropped as soon as the
service is up, and from time to time. Everything here can be repeated, by two processes at once
too.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import structlog

from services.dataset.app.merging import Merges
from services.dataset.app.staging import Staging
from services.shared.errors import Stage1Error

log = structlog.get_logger()


class Collector:
    def __init__(self, *, staging: Staging, merges: Merges) -> None:
        self._staging = staging
        self._merges = merges

    async def recover(self) -> None:
        """At start, before there are imports: no process is left that could end those of before.

        The series store is not asked: a start does not wait for it.
        """
        self._staging.forget_uploads()
        async with self._staging.catalogue.transaction() as catalogue:
            ended = await catalogue.abandon("The service ended during it.", None)
        if ended:
            log.info("imports_abandoned", count=ended)

    @asynccontextmanager
    async def collecting(self, every_seconds: float) -> AsyncIterator[None]:
        """At once, and from time to time while the block lasts."""
        task = asyncio.create_task(self._run(every_seconds))
        try:
            yield
        finally:
            task.cancel()
            await asyncio.wait([task])

    async def _run(self, every_seconds: float) -> None:
        while True:
            await self._try_to_collect()
            await asyncio.sleep(every_seconds)

    async def _try_to_collect(self) -> None:
        try:
            await self.collect()
        except Stage1Error as error:
            log.warning("collection_interrupted", reason=error.reason, error=str(error))
        except Exception:
            log.exception("collection_failed")

    async def collect(self) -> None:
        await self._end_lost()
        await self._finish_appends()
        await self._drop_tables()

    async def _end_lost(self) -> None:
        """Attempts of this process whose undoing was interrupted."""
        staging = self._staging
        async with staging.catalogue.transaction() as catalogue:
            known = await catalogue.in_flight(staging.owner)
            # Compared after they were read: an attempt is running before it is in the catalogue.
            lost = [import_id for import_id in known if import_id not in staging.running]
            if lost:
                await catalogue.abandon("It failed, and could not be undone at once.", lost)
            await catalogue.forget_answers()
        if lost:
            log.info("imports_abandoned", count=len(lost))

    async def _finish_appends(self) -> None:
        async with self._staging.catalogue.transaction() as catalogue:
            intents = await catalogue.intents()
        for intent in intents:
            manifest = intent.publication.manifest
            growing = self._merges.growing(manifest.dataset_id)
            if growing.locked():  # an append of this process is at it
                continue
            try:
                async with growing:
                    await self._merges.resume(manifest.dataset_slug)
            except Exception as error:  # one dataset's trouble keeps no other from being tidied
                slug, version = manifest.dataset_slug, manifest.version
                known = isinstance(error, Stage1Error)
                log.warning(
                    "append_unfinished",
                    slug=slug,
                    version=version,
                    error=str(error),
                    exc_info=not known,
                )

    async def _drop_tables(self) -> None:
        """Tables are listed first: one that is made later belongs to an attempt that is alive."""
        staging = self._staging
        there = await staging.series.tables()
        async with staging.catalogue.transaction() as catalogue:
            published = await catalogue.published(list(staging.running))
            dead = await catalogue.tables_of_the_dead(there)
        for table in dead:
            await staging.series.drop(table)
            log.info("dead_table_dropped", table=table)
        async with staging.catalogue.transaction() as catalogue:
            for import_id in published:
                await catalogue.clean(import_id)
