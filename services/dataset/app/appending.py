"""An append from its first byte to its intent; from there `merging` takes it forward.

Rows that come again are compared with those that are there, and only what follows them is
new. The new rows are staged in tables of their own, so that until the intent nothing that a
reader could reach has changed. The cost is that of the rows that come, whatever lies before.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from uuid import UUID

import structlog

from services.dataset.app.hashing import (
    columns_of,
    hashes_in,
    joined_hash,
    table_hash,
)
from services.dataset.app.merging import Merges
from services.dataset.app.order import AppendOrder, PartBytes
from services.dataset.app.staging import Staged, Staging
from services.dataset.app.tails import Tails, compare, grown_by, read_tails, report_of
from services.dataset.domain.catalogue import (
    AppendUnderWay,
    AppendUnfinished,
    Attempt,
    BlockHashes,
    Dataset,
    ImportKind,
    ImportOvertaken,
    ImportState,
    Intent,
    KeyReused,
    Publication,
    Published,
    Repeatable,
    Report,
    Said,
    VersionChanged,
)
from services.dataset.domain.columns import Table
from services.dataset.domain.manifest import Manifest, rows_of
from services.dataset.domain.sessions import SessionSource
from services.dataset.storage.protocol import CatalogueTransaction
from services.dataset.storage.spool import Upload
from services.shared.canonical import TableHash, content_hash
from services.shared.clock import Clock
from services.shared.errors import Exhausted, NotFound, Stage1Error
from services.shared.failpoints import reach
from services.shared.threads import in_thread

log = structlog.get_logger()


@dataclass(frozen=True, kw_only=True)
class _Base:
    """The version that grows."""

    dataset: Dataset
    block_hashes: BlockHashes

    @property
    def manifest(self) -> Manifest:
        return self.dataset.manifest

    def hash_of(self, table: Table) -> TableHash:
        blocks = self.block_hashes.ohlcv if table is Table.OHLCV else self.block_hashes.indicators
        return TableHash(
            columns=columns_of(self.manifest, table),
            block_hashes=hashes_in(blocks),
            rows=rows_of(self.manifest, table),
        )


@dataclass(frozen=True, kw_only=True)
class _Attempt:
    import_id: UUID
    dataset_id: UUID
    order: AppendOrder
    upload: Upload
    repeatable: Repeatable | None


class Appends:
    def __init__(
        self, *, staging: Staging, merges: Merges, clock: Clock, sessions: SessionSource
    ) -> None:
        self._staging = staging
        self._series = staging.series
        self._merges = merges
        self._clock = clock
        self._sessions = sessions

    async def run(self, order: AppendOrder, pieces: AsyncIterator[PartBytes]) -> Published:
        """The version there is when nothing was new. Raises InvalidRequest, RowsDiffer,
        VersionChanged, NoIndicators, KeyReused, TooManyImports, ImportOvertaken or
        AppendUnderWay when another was faster, which can be tried again, and AppendUnfinished."""
        found: list[UUID] = []

        async def admit(catalogue: CatalogueTransaction) -> str:
            dataset = await catalogue.dataset(order.dataset)
            if not (order.idempotency_key and await catalogue.knows_key(order.idempotency_key)):
                _check_version(order, dataset)
            found.append(dataset.dataset_id)
            return dataset.slug

        async with (
            self._staging.attempt(ImportKind.APPEND, admit) as import_id,
            self._staging.uploaded(import_id, order, pieces) as (upload, repeatable),
            self._merges.growing(found[0]),
        ):
            attempt = _Attempt(
                import_id=import_id,
                dataset_id=found[0],
                order=order,
                upload=upload,
                repeatable=repeatable,
            )
            return await self._append_or_answer(attempt)

    async def _append_or_answer(self, attempt: _Attempt) -> Published:
        """The same request twice at once: the slower one gives the answer of the faster."""
        async with self._staging.catalogue.transaction() as catalogue:
            slug = (await catalogue.dataset(attempt.dataset_id)).slug
        await self._resume(slug)
        answered = await self._staging.answer(attempt.repeatable)
        if answered is not None:
            return answered
        try:
            return await self._append(attempt)
        except (ImportOvertaken, AppendUnderWay, KeyReused) as error:
            answered = await self._staging.answer(attempt.repeatable)
            if answered is None:
                raise
            await self._staging.undo(attempt.import_id, error)
            return answered

    async def _resume(self, slug: str) -> None:
        """Why an append of others cannot be finished is told, but is no refusal of this one."""
        try:
            await self._merges.resume(slug)
        except (ImportOvertaken, NotFound):
            log.info("append_resumed_by_another", slug=slug)
        except Stage1Error as error:
            log.warning("append_unfinished", slug=slug, reason=error.reason, error=str(error))
            raise AppendUnderWay(
                f"Another append to {slug} goes first, and could not be finished: {error}"
            ) from error

    async def _append(self, attempt: _Attempt) -> Published:
        async with self._staging.slots:
            await self._staging.move(attempt.import_id, ImportState.SPOOLED)
            await reach("append.spooled")
            base = await self._base(attempt)
            order, paths = attempt.order, attempt.upload.paths
            tails = await read_tails(self._series, base.manifest, order.parts, paths)
            for table, tail in tails.items():
                await compare(self._series, base.manifest, table, tail)
            growth = await grown_by(
                self._series, base.manifest, tails, order.gap_policy, self._sessions
            )
            report = report_of(tails, growth)
            if not any(tail.new.num_rows for tail in tails.values()):
                return await self._nothing_new(attempt, base, report)
            intent = await self._stage(attempt, base, tails, growth.manifest, report)
        async with self._staging.catalogue.transaction() as catalogue:
            await catalogue.intend(intent.publication)
            await reach("append.intending")
        await reach("append.intended")
        return await self._finish(intent)

    async def _finish(self, intent: Intent) -> Published:
        """Whatever failed on the way: another process may have published this very append."""
        try:
            return await self._merges.finish(intent)
        except Exception as error:
            published = await self._published(intent.publication)
            if published is not None:
                return published
            if isinstance(error, Exhausted):  # a full disk, which is a refusal before the intent
                told = f"The append has begun, and will be finished as soon as it can be: {error}"
                raise AppendUnfinished(told, cause=error.cause) from error
            raise

    async def _published(self, publication: Publication) -> Published | None:
        dataset_id, version = publication.manifest.dataset_id, publication.manifest.version
        async with self._staging.catalogue.transaction() as catalogue:
            attempt = await catalogue.import_(publication.import_id)
            if attempt.state not in {ImportState.PUBLISHED, ImportState.CLEANED}:
                return None
            dataset = await catalogue.dataset(dataset_id, version)
        return Published(dataset=dataset, report=publication.report)

    async def _base(self, attempt: _Attempt) -> _Base:
        async with self._staging.catalogue.transaction() as catalogue:
            dataset = await catalogue.dataset(attempt.dataset_id)
            _check_version(attempt.order, dataset)
            hashes = await catalogue.block_hashes(dataset.dataset_id, dataset.version)
        return _Base(dataset=dataset, block_hashes=hashes)

    async def _stage(
        self, attempt: _Attempt, base: _Base, tails: Tails, grown: Manifest, report: Report
    ) -> Intent:
        """New rows in tables of their own, verified, and what is to be published of them."""
        new = {table: tail.new for table, tail in tails.items() if tail.new.num_rows}
        reserved = await self._reserve(attempt, grown)
        names = {Table.OHLCV: reserved.ohlcv_measurement}
        if reserved.indicator_measurement:
            names[Table.INDICATORS] = reserved.indicator_measurement
        staged = [
            Staged(name=names[table], rows=rows, hash=await in_thread(table_hash, rows))
            for table, rows in new.items()
        ]
        await self._staging.load("append", staged)
        await self._staging.move(attempt.import_id, ImportState.VERIFIED)
        await reach("append.verified")
        hashes = {
            table: base.hash_of(table)
            for table in (Table.OHLCV, Table.INDICATORS)
            if rows_of(base.manifest, table)
        }
        for table, rows in new.items():
            hashes[table] = await joined_hash(
                self._series, base.manifest, table, hashes[table], rows
            )
        blocks = {table: b"".join(hash_.block_hashes) for table, hash_ in hashes.items()}
        publication = Publication(
            import_id=attempt.import_id,
            manifest=replace(
                grown,
                version=reserved.version,
                symbol=base.dataset.symbol,
                granularity=base.dataset.granularity,
                source=base.dataset.source,
                content_hash=content_hash(*hashes.values()),
                exported_at_ms=self._clock(),
            ),
            said=Said(),
            is_new=False,
            report=report,
            ohlcv_block_hashes=blocks[Table.OHLCV],
            indicator_block_hashes=blocks.get(Table.INDICATORS, b""),
            repeatable=attempt.repeatable,
        )
        return Intent(publication, {table: names[table] for table in new})

    async def _reserve(self, attempt: _Attempt, grown: Manifest) -> Attempt:
        async with self._staging.catalogue.transaction() as catalogue:
            reserved = await catalogue.reserve(
                attempt.import_id,
                grown.dataset_slug,
                indicators=grown.indicator_measurement is not None,
            )
            if reserved.version != grown.version + 1:
                raise ImportOvertaken(
                    f"Dataset {grown.dataset_slug} came to version {reserved.version - 1} "
                    "meanwhile."
                )
        await reach("append.reserved")
        return reserved

    async def _nothing_new(self, attempt: _Attempt, base: _Base, report: Report) -> Published:
        """A repetition: the answer is the version there is."""
        if attempt.repeatable:
            async with self._staging.catalogue.transaction() as catalogue:
                await catalogue.keep_answer(attempt.repeatable, base.manifest, report)
        return Published(dataset=base.dataset, report=report)


def _check_version(order: AppendOrder, dataset: Dataset) -> None:
    if order.expected_version not in {None, dataset.version}:
        raise VersionChanged(
            f"Dataset {dataset.slug} is at version {dataset.version}, "
            f"and {order.expected_version} was expected."
        )
