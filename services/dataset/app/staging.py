"""What imports and appends have in common: places, uploads, tables of their own, their undoing.

Whatever ends an attempt before its publication (of an append: before its intent) leaves
nothing behind. What cannot be undone at once is left to the collector.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from uuid import UUID, uuid4

import pyarrow as pa
import structlog

from services.dataset.app.hashing import as_stream, read_hash
from services.dataset.app.order import AppendOrder, ImportOrder, PartBytes
from services.dataset.app.places import Places
from services.dataset.domain.catalogue import ImportKind, ImportState, Published, Repeatable
from services.dataset.storage.protocol import Catalogue, CatalogueTransaction
from services.dataset.storage.spool import Spool, Upload
from services.shared.canonical import BLOCK_ROWS, TableHash
from services.shared.errors import (
    DataLoss,
    InvalidRequest,
    Stage1Error,
    Unavailable,
    Violation,
)
from services.shared.failpoints import reach
from services.shared.series import SeriesStore

log = structlog.get_logger()


@dataclass(frozen=True, kw_only=True)
class Staged:
    """A table of one attempt, and the rows that belong into it."""

    name: str
    rows: pa.Table
    hash: TableHash


class Staging:
    """`slots` imports are parsed and loaded at a time; those that upload or wait for a slot have
    their places already."""

    def __init__(
        self,
        *,
        catalogue: Catalogue,
        series: SeriesStore,
        spool: Spool,
        slots: int,
        places: Places,
    ) -> None:
        self.catalogue = catalogue
        self.series = series
        self.slots = asyncio.Semaphore(slots)
        self.owner = uuid4()
        """Of every attempt of this process."""
        self.running: set[UUID] = set()
        self._spool = spool
        self._places = places

    def forget_uploads(self) -> None:
        """At start: those of the process before."""
        self._spool.clear()

    @asynccontextmanager
    async def attempt(
        self, kind: ImportKind, admit: Callable[[CatalogueTransaction], Awaitable[str]]
    ) -> AsyncIterator[UUID]:
        """`admit` refuses what can be refused before the upload, and gives the slug."""
        import_id, step = uuid4(), "append" if kind is ImportKind.APPEND else "import"
        with self._places.one(), self._running(import_id):
            async with self.catalogue.transaction() as catalogue:
                slug = await admit(catalogue)
                await catalogue.receive(import_id, kind, slug, self.owner)
            try:
                await reach(f"{step}.received")
                yield import_id
            except BaseException as error:
                await self.undo(import_id, error)
                raise
            await self._clean(import_id)
            await reach(f"{step}.cleaned")

    @contextmanager
    def _running(self, import_id: UUID) -> Iterator[None]:
        self.running.add(import_id)
        try:
            yield
        finally:
            self.running.discard(import_id)

    @asynccontextmanager
    async def uploaded(
        self, import_id: UUID, order: ImportOrder | AppendOrder, pieces: AsyncIterator[PartBytes]
    ) -> AsyncIterator[tuple[Upload, Repeatable | None]]:
        """The files while the block lasts, and what makes the request repeatable."""
        key = order.idempotency_key
        async with self._spool.upload(import_id, len(order.parts), hashed=bool(key)) as upload:
            async for piece in pieces:
                await upload.write(piece.part, piece.data)
            upload.close()
            if missing := upload.missing():
                raise InvalidRequest(
                    [Violation(f"header.parts[{i}]", "has no bytes") for i in missing]
                )
            yield (
                upload,
                Repeatable(key, upload.sha256(order.header_sha256)) if key else None,
            )

    async def answer(self, repeatable: Repeatable | None) -> Published | None:
        if repeatable is None:
            return None
        async with self.catalogue.transaction() as catalogue:
            return await catalogue.answer(repeatable)

    async def load(self, step: str, tables: Sequence[Staged]) -> None:
        """Writes all rows and reads them back: the same columns, rows and values, or DataLoss."""
        for table in tables:
            await self.series.create(table.name, table.rows.schema)
        await reach(f"{step}.created")
        for table in tables:
            batches = table.rows.to_batches(max_chunksize=BLOCK_ROWS)
            await self.series.write(table.name, as_stream(batches))
        await reach(f"{step}.written")
        for table in tables:
            await self.series.settle(table.name)
        await reach(f"{step}.settled")
        for table in tables:
            found = await read_hash(self.series, table.name, table.hash.columns)
            check_read(table.name, found, table.hash)

    async def move(self, import_id: UUID, state: ImportState) -> None:
        async with self.catalogue.transaction() as catalogue:
            await catalogue.move(import_id, state)

    async def undo(self, import_id: UUID, error: BaseException) -> None:
        """Only what PostgreSQL says is not published is dropped: a lost COMMIT may have worked."""
        told = isinstance(error, Stage1Error)
        refused = told and not isinstance(error, Unavailable | DataLoss)
        state = ImportState.REJECTED if refused else ImportState.ABANDONED
        text = str(error) if told else f"Ended by {type(error).__name__}."
        try:
            async with self.catalogue.transaction() as catalogue:
                tables = await catalogue.end(import_id, state, text)
            for table in tables:
                await self.series.drop(table)
        except Stage1Error as failure:
            log.warning("import_not_undone", import_id=str(import_id), error=str(failure))

    async def _clean(self, import_id: UUID) -> None:
        try:
            async with self.catalogue.transaction() as catalogue:
                await catalogue.clean(import_id)
        except Stage1Error as failure:
            log.warning("import_not_cleaned", import_id=str(import_id), error=str(failure))


def check_read(table: str, read: TableHash, written: TableHash) -> None:
    if read != written:
        raise DataLoss(
            f"Table {table} holds {read.rows} rows of hash {read.digest.hex()}, "
            f"and {written.rows} rows of hash {written.digest.hex()} were written."
        )
