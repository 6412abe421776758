"""Content hashes of whole tables, on two cores and with little of a table in memory.

Blocks have hashes of their own, so two are hashed at a time. A block of a wide table is
read and hashed some columns at a time, as its hash goes column after column.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from itertools import pairwise
from typing import Final

import pyarrow as pa

from services.dataset.domain.columns import ColumnType, Table
from services.dataset.domain.manifest import Manifest, measurement, rows_of, watermark
from services.shared.arrow_stream import size_of
from services.shared.canonical import (
    BLOCK_ROWS,
    TableHash,
    add_columns,
    block_hash,
    column_types,
)
from services.shared.canonical import ColumnType as Canonical
from services.shared.errors import DataLoss
from services.shared.series import TIME, Rows, SeriesStore
from services.shared.threads import in_thread

_WIDE: Final = 32  # columns; a block of so many has 16 MiB
_HASHED_BYTES: Final = 64 << 20  # of blocks under way, beside the one that is being read

Columns = tuple[tuple[str, Canonical], ...]
Block = list[pa.RecordBatch]


def table_hash(table: pa.Table) -> TableHash:
    """Blocks the thread it is called in."""
    columns = column_types(table.schema)
    starts = range(0, table.num_rows, BLOCK_ROWS)
    blocks = (table.slice(start, BLOCK_ROWS).to_batches() for start in starts)
    with ThreadPoolExecutor(2) as threads:
        hashes = tuple(threads.map(lambda block: block_hash(block, columns), blocks))
    return TableHash(columns=columns, block_hashes=hashes, rows=table.num_rows)


async def read_hash(
    series: SeriesStore,
    table: str,
    columns: Columns,
    *,
    kept: Sequence[bytes] = (),
    span: Rows | None = None,
    below_ms: int | None = None,
) -> TableHash:
    """Of rows in the store; `kept` are the hashes of the blocks before them, which `span` leaves
    out."""
    if len(columns) > _WIDE:
        end = span.end if span else None
        return await _read_wide(series, table, columns, kept, end, below_ms)
    names = [name for name, _ in columns]
    rows = series.read(table, names, span=span, below_ms=below_ms)
    async with aclosing(rows) as batches:
        return await stream_hash(columns, batches, kept=kept)


async def _read_wide(
    series: SeriesStore,
    table: str,
    columns: Columns,
    kept: Sequence[bytes],
    end: int | None,
    below_ms: int | None,
) -> TableHash:
    hashes, rows = list(kept), len(kept) * BLOCK_ROWS
    while end is None or rows < end:
        stop = rows + BLOCK_ROWS if end is None else min(rows + BLOCK_ROWS, end)
        block, counts = _WideBlock(), set[int]()
        async with aclosing(block):
            for group in _groups(columns):
                names = [name for name, _ in group]
                read = series.read(table, names, span=Rows(rows, stop), below_ms=below_ms)
                async with aclosing(read) as batches:
                    found = [batch async for batch in batches]
                counts.add(sum(batch.num_rows for batch in found))
                await block.add(found, group)
        if len(counts) > 1:
            raise DataLoss(f"Table {table} changed while its rows from {rows} on were read.")
        count = counts.pop()
        if count:
            hashes.append(block.digest())
        rows += count
        if count < BLOCK_ROWS:
            break
    return TableHash(columns=columns, block_hashes=tuple(hashes), rows=rows)


def _groups(columns: Columns) -> list[Columns]:
    """Of about the same size."""
    count = -(-len(columns) // _WIDE)
    edges = [len(columns) * i // count for i in range(count + 1)]
    return [columns[start:end] for start, end in pairwise(edges)]


class _WideBlock:
    """Hashes some columns while the next ones are read."""

    def __init__(self) -> None:
        self._block = hashlib.sha256()
        self._under_way: asyncio.Task[None] | None = None

    async def add(self, rows: Block, columns: Columns) -> None:
        if self._under_way:
            await self._under_way
        work = in_thread(add_columns, self._block, rows, columns)
        self._under_way = asyncio.create_task(work)

    async def aclose(self) -> None:
        if self._under_way:
            await self._under_way

    def digest(self) -> bytes:
        return self._block.digest()


async def stream_hash(
    columns: Columns, batches: AsyncIterator[pa.RecordBatch], *, kept: Sequence[bytes] = ()
) -> TableHash:
    """Of rows in order, in batches of any size, that begin where a block begins."""
    hashes: list[bytes] = list(kept)
    under_way: list[asyncio.Task[bytes]] = []
    blocks = Blocks()
    try:
        async for batch in batches:
            for block in blocks.add(batch):
                while len(under_way) >= _at_once(block):
                    hashes.append(await under_way.pop(0))
                under_way.append(asyncio.create_task(in_thread(block_hash, block, columns)))
        while under_way:
            hashes.append(await under_way.pop(0))
    finally:
        await asyncio.gather(*under_way, return_exceptions=True)
    rows = len(hashes) * BLOCK_ROWS + blocks.rows
    if blocks.rows:
        hashes.append(await in_thread(block_hash, blocks.rest, columns))
    return TableHash(columns=columns, block_hashes=tuple(hashes), rows=rows)


def _at_once(block: Block) -> int:
    """One of large blocks: a store's rows may have to be held in memory."""
    return 2 if 2 * sum(size_of(batch) for batch in block) <= _HASHED_BYTES else 1


class Blocks:
    """Batches cut into blocks; `rest` is the one that is still open."""

    def __init__(self) -> None:
        self.rest: Block = []
        self.rows = 0

    def add(self, batch: pa.RecordBatch) -> Iterator[Block]:
        start = 0
        while start < batch.num_rows:
            taken = batch.slice(start, BLOCK_ROWS - self.rows)
            self.rest.append(taken)
            self.rows += taken.num_rows
            start += taken.num_rows
            if self.rows == BLOCK_ROWS:
                block, self.rest, self.rows = self.rest, [], 0
                yield block


async def chained(*streams: AsyncIterator[pa.RecordBatch]) -> AsyncIterator[pa.RecordBatch]:
    for stream in streams:
        async for batch in stream:
            yield batch


async def as_stream(batches: Iterable[pa.RecordBatch]) -> AsyncIterator[pa.RecordBatch]:
    for batch in batches:
        yield batch


def columns_of(manifest: Manifest, table: Table) -> Columns:
    """What the hash of a published table is over, in its order."""
    kinds = {ColumnType.FLOAT64: Canonical.NUMBER, ColumnType.STRING: Canonical.TEXT}
    columns = manifest.columns_of(table)
    return ((TIME, Canonical.TIME), *((column.name, kinds[column.type]) for column in columns))


def hashes_in(blocks: bytes) -> tuple[bytes, ...]:
    """Of block hashes end to end."""
    return tuple(blocks[start : start + 32] for start in range(0, len(blocks), 32))


async def joined_hash(
    series: SeriesStore, base: Manifest, table: Table, known: TableHash, new: pa.Table
) -> TableHash:
    """Of the table with its new rows: only the block that was not whole is read again.

    Raises DataLoss when that block is not as it was published.
    """
    kept, columns = known.whole_blocks, known.columns
    open_rows = await _open_rows(series, base, table, len(kept) * BLOCK_ROWS)
    if open_rows and await in_thread(block_hash, open_rows, columns) != known.block_hashes[-1]:
        raise DataLoss(
            f"Table {measurement(base, table)} is not as it was published from row "
            f"{len(kept) * BLOCK_ROWS} on: look with `stage1 dataset verify`."
        )
    rows = chained(as_stream(open_rows), as_stream(new.to_batches()))
    return await stream_hash(columns, rows, kept=kept)


async def _open_rows(
    series: SeriesStore, base: Manifest, table: Table, start: int
) -> list[pa.RecordBatch]:
    rows = rows_of(base, table)
    if start == rows:
        return []
    names = [name for name, _ in columns_of(base, table)]
    below_ms = watermark(base, table)
    read = series.read(measurement(base, table), names, span=Rows(start, rows), below_ms=below_ms)
    async with aclosing(read) as batches:
        return [batch async for batch in batches]
