"""An import from its first byte to its publication, which is one transaction.

Rows are written to tables of this attempt alone, read back whole, and exist for
others when PostgreSQL says so. Whatever ends an import before leaves nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing, contextmanager
from uuid import UUID, uuid4

import pyarrow as pa
import structlog

from services.dataset.app.order import ImportOrder, PartBytes
from services.dataset.app.preparing import Prepared, prepare
from services.dataset.domain.catalogue import (
    Dataset,
    ImportOvertaken,
    ImportState,
    Publication,
    Published,
    Repeatable,
    slug_taken,
)
from services.dataset.domain.columns import Table
from services.dataset.domain.manifest import Manifest, contradictions, measurement
from services.dataset.storage.protocol import Catalogue, CatalogueTransaction
from services.dataset.storage.spool import Spool, Upload
from services.shared.canonical import TableHash, TableHasher
from services.shared.clock import Clock
from services.shared.errors import (
    AlreadyExists,
    DataLoss,
    Exhausted,
    InvalidRequest,
    Stage1Error,
    Violation,
)
from services.shared.series import SeriesStore
from services.shared.series.disk import in_thread

_WRITE_ROWS = 65_536

log = structlog.get_logger()


class TooManyImports(Exhausted):
    reason = "TOO_MANY_IMPORTS"


class Imports:
    """`slots` imports are parsed and loaded at a time: each holds its tables in memory.

    `places` are under way at a time, those that upload or wait for a slot included: each holds
    its files on the disk.
    """

    def __init__(
        self,
        *,
        catalogue: Catalogue,
        series: SeriesStore,
        spool: Spool,
        clock: Clock,
        slots: int,
        places: int,
    ) -> None:
        self._catalogue = catalogue
        self._series = series
        self._spool = spool
        self._clock = clock
        self._slots = asyncio.Semaphore(slots)
        self._places = places
        self._under_way = 0

    async def recover(self) -> None:
        """At start, before there are imports: end what was in flight and drop what nobody needs."""
        self._spool.clear()
        async with self._catalogue.transaction() as catalogue:
            await catalogue.settle_imports()
            dead = await catalogue.tables_of_the_dead()
        for table in sorted(set(dead) & set(await self._series.tables())):
            await self._series.drop(table)
            log.info("dead_table_dropped", table=table)

    async def run(self, order: ImportOrder, pieces: AsyncIterator[PartBytes]) -> Published:
        """Raises InvalidRequest for files and claims that break a rule, AlreadyExists for a slug
        or key that is taken, Conflict when another import was faster, TooManyImports."""
        with self._place():
            return await self._run(order, pieces)

    @contextmanager
    def _place(self) -> Iterator[None]:
        if self._under_way >= self._places:
            raise TooManyImports(
                f"{self._under_way} imports are under way, and no more fit: try again shortly."
            )
        self._under_way += 1
        try:
            yield
        finally:
            self._under_way -= 1

    async def _run(self, order: ImportOrder, pieces: AsyncIterator[PartBytes]) -> Published:
        import_id = uuid4()
        await self._admit(import_id, order)
        try:
            async with self._spool.upload(import_id, len(order.parts)) as upload:
                repeatable = await self._receive(order, upload, pieces)
                published = await self._answer(repeatable)
                if published is None:
                    published = await self._import_or_answer(import_id, order, upload, repeatable)
        except BaseException as error:
            await self._undo(import_id, error)
            raise
        await self._clean(import_id)
        return published

    async def _admit(self, import_id: UUID, order: ImportOrder) -> None:
        """What can be refused before the upload is; a key that is known may be a repetition."""
        async with self._catalogue.transaction() as catalogue:
            if not (order.idempotency_key and await catalogue.knows_key(order.idempotency_key)):
                await _base(catalogue, order)
            await catalogue.receive(import_id, order.slug)

    async def _receive(
        self, order: ImportOrder, upload: Upload, pieces: AsyncIterator[PartBytes]
    ) -> Repeatable | None:
        async for piece in pieces:
            await upload.write(piece.part, piece.data)
        upload.close()
        if missing := upload.missing():
            raise InvalidRequest([Violation(f"header.parts[{i}]", "has no bytes") for i in missing])
        if not order.idempotency_key:
            return None
        return Repeatable(order.idempotency_key, upload.sha256(order.header_sha256))

    async def _answer(self, repeatable: Repeatable | None) -> Published | None:
        if repeatable is None:
            return None
        async with self._catalogue.transaction() as catalogue:
            return await catalogue.answer(repeatable)

    async def _import_or_answer(
        self, import_id: UUID, order: ImportOrder, upload: Upload, repeatable: Repeatable | None
    ) -> Published:
        """The same request twice at once: the slower one gives the answer of the faster."""
        try:
            return await self._import(import_id, order, upload, repeatable)
        except (AlreadyExists, ImportOvertaken) as error:
            published = await self._answer(repeatable)
            if published is None:
                raise
            await self._undo(import_id, error)
            return published

    async def _import(
        self, import_id: UUID, order: ImportOrder, upload: Upload, repeatable: Repeatable | None
    ) -> Published:
        async with self._slots:
            await self._move(import_id, ImportState.SPOOLED)
            prepared = await in_thread(prepare, order, upload.paths)
            manifest, base = await self._begin(import_id, order, prepared)
            await self._load(prepared, manifest)
            await self._move(import_id, ImportState.VERIFIED)
        return await self._publish(
            Publication(
                import_id=import_id,
                manifest=manifest,
                metadata=order.metadata or (base.metadata if base else {}),
                is_new=base is None,
                report=prepared.report(manifest),
                ohlcv_block_hashes=prepared.block_hashes(Table.OHLCV),
                indicator_block_hashes=prepared.block_hashes(Table.INDICATORS),
                repeatable=repeatable,
            )
        )

    async def _begin(
        self, import_id: UUID, order: ImportOrder, prepared: Prepared
    ) -> tuple[Manifest, Dataset | None]:
        """From here on the import has a version to become and tables of its own."""
        indicators = Table.INDICATORS in prepared.tables
        async with self._catalogue.transaction() as catalogue:
            base = await _base(catalogue, order)
            attempt = await catalogue.reserve(import_id, order.slug, indicators=indicators)
            manifest = prepared.manifest(order, base, attempt, self._clock())
            wrong = contradictions(order.expected, manifest)
            found = [Violation(f"header.expected.{name}", message) for name, message in wrong]
            if found:
                raise InvalidRequest(found[:20], reason="MANIFEST_CONTRADICTED")
        return manifest, base

    async def _load(self, prepared: Prepared, manifest: Manifest) -> None:
        for table, rows in prepared.tables.items():
            name = measurement(manifest, table)
            await self._series.create(name, rows.schema)
            await self._series.write(name, _batches(rows))
            await self._series.settle(name)
            await self._verify(name, rows.schema.names, prepared.hashes[table])

    async def _verify(self, name: str, columns: list[str], written: TableHash) -> None:
        """Reads everything back: the same columns, rows and values, or DataLoss."""
        hasher = TableHasher(written.columns)
        async with aclosing(self._series.read(name, columns)) as batches:
            async for batch in batches:
                await in_thread(hasher.update, batch)
        read = hasher.finish()
        if read != written:
            raise DataLoss(
                f"Table {name} holds {read.rows} rows of hash {read.digest.hex()}, "
                f"and {written.rows} rows of hash {written.digest.hex()} were written."
            )

    async def _publish(self, publication: Publication) -> Published:
        async with self._catalogue.transaction() as catalogue:
            dataset = await catalogue.publish(publication)
        log.info("dataset_published", slug=dataset.slug, version=dataset.version)
        return Published(dataset=dataset, report=publication.report)

    async def _move(self, import_id: UUID, state: ImportState) -> None:
        async with self._catalogue.transaction() as catalogue:
            await catalogue.move(import_id, state)

    async def _undo(self, import_id: UUID, error: BaseException) -> None:
        """Only what PostgreSQL says is not published is dropped: a lost COMMIT may have worked."""
        refused = isinstance(error, Stage1Error)
        state = ImportState.REJECTED if refused else ImportState.ABANDONED
        text = str(error) if refused else f"Ended by {type(error).__name__}."
        try:
            async with self._catalogue.transaction() as catalogue:
                tables = await catalogue.end(import_id, state, text)
            for table in tables:
                await self._series.drop(table)
        except Stage1Error as failure:
            log.warning("import_not_undone", import_id=str(import_id), error=str(failure))

    async def _clean(self, import_id: UUID) -> None:
        try:
            async with self._catalogue.transaction() as catalogue:
                await catalogue.clean(import_id)
        except Stage1Error as failure:
            log.warning("import_not_cleaned", import_id=str(import_id), error=str(failure))


async def _base(catalogue: CatalogueTransaction, order: ImportOrder) -> Dataset | None:
    """The dataset that gets a new version; None for a new one."""
    if order.dataset_id is None:
        if await catalogue.exists(order.slug):
            raise slug_taken(order.slug)
        return None
    base = await catalogue.dataset(order.dataset_id)
    if base.slug != order.slug:
        message = f"is {order.slug!r}, but dataset {base.dataset_id} is {base.slug!r}"
        raise InvalidRequest([Violation("header.slug", message)])
    return base


async def _batches(table: pa.Table) -> AsyncIterator[pa.RecordBatch]:
    for batch in table.to_batches(max_chunksize=_WRITE_ROWS):
        yield batch
