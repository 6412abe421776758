"""Figures of the columns of a version, counted in one pass for each group of columns."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Final, NamedTuple, TypeAlias
from uuid import UUID

import pyarrow as pa

from services.dataset.app.bars import Bars, refuse_unknown
from services.dataset.domain.columns import Column, ColumnType, Table
from services.dataset.domain.manifest import Manifest, measurement, rows_of
from services.dataset.domain.statistics import SAMPLE, NumberColumn, Statistics, TextColumn
from services.shared.arrow_stream import size_of
from services.shared.series import Rows, SeriesStore
from services.shared.threads import in_thread

GROUP_BYTES: Final = 64 << 20  # of values that are kept at a time
BLOCK_BYTES: Final = 8 << 20  # that are counted at a time
PROGRESS_SECONDS: Final = 0.5


@dataclass(frozen=True, kw_only=True)
class DescribeQuery:
    """None asks for every column."""

    name: UUID | str
    version: int | None
    table: Table
    columns: tuple[str, ...] | None
    bins: int


class Progress(NamedTuple):
    rows: int
    total_rows: int


class Described(NamedTuple):
    column: Column
    statistics: Statistics


Step: TypeAlias = "Progress | list[Described]"
Counter: TypeAlias = "NumberColumn | TextColumn"


class Describing:
    """One description at a time: each holds up to GROUP_BYTES."""

    def __init__(self, *, bars: Bars, series: SeriesStore) -> None:
        self._bars = bars
        self._series = series
        self._turn = asyncio.Semaphore()

    async def describe(self, query: DescribeQuery) -> AsyncGenerator[Step]:
        """Progress at most twice a second, then the columns in the order asked for.

        Raises InvalidRequest for columns that are unknown.
        """
        manifest = await self._bars.manifest(query.name, query.version)
        columns = _columns(manifest, query)
        counting = _Counting(self._series, manifest, query, columns)
        yield Progress(0, counting.total_rows)
        async with self._turn, aclosing(counting.run()) as steps:
            async for progress in steps:
                yield progress
        yield counting.described


class _Counting:
    def __init__(
        self,
        series: SeriesStore,
        manifest: Manifest,
        query: DescribeQuery,
        columns: Sequence[Column],
    ) -> None:
        self._series = series
        self._table = measurement(manifest, query.table)
        self._bins = query.bins
        self._columns = columns
        self._seen = 0
        self._told = asyncio.get_running_loop().time()
        self.total_rows = rows_of(manifest, query.table)
        self._looks = 2 if self.total_rows > SAMPLE else 1
        self.described: list[Described] = []

    async def run(self) -> AsyncGenerator[Progress]:
        for group in groups(self._columns, self.total_rows):
            counters = [self._counter(column) for column in group]
            for look in range(self._looks):
                async with aclosing(self._look(group, counters, look)) as steps:
                    async for progress in steps:
                        yield progress
            figures = await in_thread(lambda done: [counter.finish() for counter in done], counters)
            self.described += map(Described, group, figures)

    def _counter(self, column: Column) -> Counter:
        if column.type is ColumnType.STRING:
            return TextColumn()
        return NumberColumn(rows=self.total_rows, bins=self._bins)

    async def _look(
        self, group: Sequence[Column], counters: Sequence[Counter], look: int
    ) -> AsyncGenerator[Progress]:
        names = [column.name for column in group]
        rows = Rows(0, self.total_rows)
        batches = _large(self._series.read(self._table, names, span=rows))
        async with aclosing(batches):
            async for held in batches:
                await in_thread(_count, held, counters, look)
                self._seen += sum(batch.num_rows for batch in held) * len(group)
                if self._is_time():
                    done = self._seen // (self._looks * len(self._columns))
                    yield Progress(done, self.total_rows)

    def _is_time(self) -> bool:
        now = asyncio.get_running_loop().time()
        if now - self._told < PROGRESS_SECONDS:
            return False
        self._told = now
        return True


async def _large(batches: AsyncGenerator[pa.RecordBatch]) -> AsyncGenerator[list[pa.RecordBatch]]:
    """Of wide tables a batch has some hundred rows only, and each column costs a call."""
    held: list[pa.RecordBatch] = []
    size = 0
    async with aclosing(batches):
        async for batch in batches:
            held.append(batch)
            size += size_of(batch)
            if size >= BLOCK_BYTES:
                yield held
                held, size = [], 0
    if held:
        yield held


def _count(held: Sequence[pa.RecordBatch], counters: Sequence[Counter], look: int) -> None:
    batch = pa.concat_batches(held)
    for position, counter in enumerate(counters):
        column = batch.column(position)
        if look == 0:
            counter.add(column)
        elif counter.needs_a_second_look:
            counter.look_again(column)


def groups(columns: Sequence[Column], rows: int) -> Iterator[Sequence[Column]]:
    """As many columns as may be kept at a time."""
    size = max(1, GROUP_BYTES // (8 * max(1, min(rows, SAMPLE))))
    for start in range(0, len(columns), size):
        yield columns[start : start + size]


def _columns(manifest: Manifest, query: DescribeQuery) -> list[Column]:
    known = {column.name: column for column in manifest.columns_of(query.table)}
    if query.columns is None:
        return list(known.values())
    asked = dict.fromkeys(query.columns)
    refuse_unknown(manifest, query.table, set(asked) - set(known))
    return [known[name] for name in asked]
