"""Rows of a table as Arrow: slices of time, each one answer of the server, one fetched ahead.

The server reads a range of time several times faster than a range of positions,
so positions are turned into times first. Slices never part rows of one time.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from services.shared.arrow_stream import CHUNK_BYTES
from services.shared.errors import DataLoss
from services.shared.series import INDEX, TIME, Rows, Span
from services.shared.series.columns import times_of
from services.shared.series.questdb.layout import LAST_MS, Layout, quoted
from services.shared.series.questdb.wire import Wire

SLICE_BYTES: Final = 16 << 20
LEAST_SLICE_BYTES: Final = 1 << 20
_TEXT_BYTES: Final = 24  # until the first slice says how much
_LONGEST_LIST: Final = 28_000  # characters
_US: Final = 1000


@dataclass(frozen=True, kw_only=True)
class Stretch:
    """[start, end) of positions, and of µs where known."""

    start: int
    end: int
    start_us: int | None
    end_us: int | None


class Reader:
    """One reader of one table. `times` keeps the µs of positions."""

    def __init__(
        self, wire: Wire, layout: Layout, columns: pa.Schema, times: dict[int, int]
    ) -> None:
        self._wire = wire
        self._layout = layout
        self._columns = columns
        self._times = times
        self._row_bytes = sum(_TEXT_BYTES if f.type == pa.string() else 8 for f in columns)
        self.slice_bytes = SLICE_BYTES

    async def batches(
        self, span: Span | None, below_ms: int | None, where: Mapping[str, int]
    ) -> AsyncGenerator[pa.RecordBatch]:
        stretch = await self._stretch(span, below_ms)
        async with aclosing(ahead(self._slices(stretch, where))) as slices:
            async for batch in slices:
                for part in _parts(batch):
                    yield part

    async def _stretch(self, span: Span | None, below_ms: int | None) -> Stretch:
        start_ms, end_ms = (_clamped(ms) for ms in times_of(span, below_ms))
        start, end = await asyncio.gather(
            self._rows_before(start_ms), self._rows_before(end_ms, all_rows=True)
        )
        if isinstance(span, Rows):
            return Stretch(
                start=max(start, span.start), end=min(end, span.end), start_us=None, end_us=None
            )
        return Stretch(
            start=start,
            end=end,
            start_us=None if start_ms is None else start_ms * _US,
            end_us=None if end_ms is None else end_ms * _US,
        )

    async def _rows_before(self, ms: int | None, *, all_rows: bool = False) -> int:
        if ms is None and not all_rows:
            return 0
        return await self._count("" if ms is None else self._before(ms * _US))

    def _before(self, us: int) -> str:
        """Small numbers alone would be read as years."""
        return f' WHERE "{self._layout.time}"<{us}::TIMESTAMP'

    async def _count(self, condition: str) -> int:
        table = self._layout.table
        rows = await self._wire.rows(f'SELECT count() FROM "{table}"{condition}', table=table)
        return int(rows[0][0])

    async def _slices(
        self, stretch: Stretch, where: Mapping[str, int]
    ) -> AsyncGenerator[pa.RecordBatch]:
        start, start_us = stretch.start, stretch.start_us
        while start < stretch.end:
            if start_us is None:
                start_us = await self._time_at(start)
            rows = max(1, self.slice_bytes // self._row_bytes)
            end = min(start + rows, stretch.end)
            is_last = end == stretch.end and stretch.end_us is not None
            end_us = stretch.end_us if is_last else await self._time_at(end - 1) + 1
            assert end_us is not None
            batch = await self._slice(start, start_us, end_us, where)
            if self._layout.has_index:
                self._check(batch, end - start)
            elif not is_last:
                end = await self._count(self._before(end_us))
            yield batch
            start, start_us = end, end_us

    def _check(self, batch: pa.RecordBatch, rows: int) -> None:
        if batch.num_rows != rows:
            self._times.clear()
            raise DataLoss(
                f"Table {self._layout.table} of QuestDB gave {batch.num_rows} rows where "
                f"{rows} were counted: it was changed from elsewhere while it was read."
            )

    async def _time_at(self, position: int) -> int:
        if position not in self._times:
            table, time = self._layout.table, self._layout.time
            query = f'SELECT "{time}"::LONG FROM "{table}" LIMIT {position},{position + 1}'
            rows = await self._wire.rows(query, table=table)
            if not rows:
                raise DataLoss(f"Table {table} of QuestDB has no row {position} any more.")
            self._times[position] = int(rows[0][0])
        return self._times[position]

    async def _slice(
        self, first_row: int, start_us: int, end_us: int, where: Mapping[str, int]
    ) -> pa.RecordBatch:
        layout = self._layout
        compared = "".join(f' AND "{layout.name_of(n)}"={v:d}' for n, v in where.items())
        query = (
            f'SELECT {self._names()} FROM "{layout.table}"{self._before(end_us)} '
            f'AND "{layout.time}">={start_us}::TIMESTAMP{compared}'
        )
        found = await self._wire.arrow(query, table=layout.table)
        if found.num_rows:
            self._row_bytes = max(1, found.nbytes // found.num_rows)
        return await self._wire.in_thread(lambda: self._converted(found, first_row))

    def _names(self) -> str:
        ordering = () if self._layout.has_index else self._layout.key
        wanted = dict.fromkeys([*self._columns.names, *ordering, TIME])
        wanted.pop(INDEX, None)
        layout = self._layout
        names = ",".join(_exported(layout, layout.name_of(column)) for column in wanted)
        is_long = len(wanted) == len(layout.names) or len(names) > _LONGEST_LIST
        return "*" if is_long and not layout.varchars else names

    def _converted(self, found: pa.Table, first_row: int) -> pa.RecordBatch:
        layout = self._layout
        found = found.combine_chunks()
        if not layout.has_index:
            found = _in_key_order(found, [layout.name_of(name) for name in layout.key])
        columns = [
            pa.array(np.arange(first_row, first_row + found.num_rows))
            if field.name == INDEX
            else _column(found.column(layout.name_of(field.name)), field)
            for field in self._columns
        ]
        return pa.RecordBatch.from_arrays(columns, schema=self._columns)


def _exported(layout: Layout, name: str) -> str:
    return f'"{name}"::STRING "{name}"' if name in layout.varchars else quoted(name)


def _clamped(ms: int | None) -> int | None:
    """Into what the server takes for a time."""
    return None if ms is None else min(max(ms, 0), LAST_MS + 1)


async def ahead(source: AsyncGenerator[pa.RecordBatch]) -> AsyncGenerator[pa.RecordBatch]:
    """The same, with one fetched while one is used."""
    coming = asyncio.ensure_future(anext(source, None))
    try:
        while (batch := await coming) is not None:
            coming = asyncio.ensure_future(anext(source, None))
            yield batch
    finally:
        coming.cancel()
        await asyncio.gather(coming, return_exceptions=True)
        await source.aclose()


def _parts(batch: pa.RecordBatch) -> list[pa.RecordBatch]:
    """Of about 1 MiB; bitmaps are cut at whole bytes."""
    count = max(1, round(batch.nbytes / CHUNK_BYTES))
    rows = max(8, -(-batch.num_rows // count) // 8 * 8)
    return [batch.slice(start, rows) for start in range(0, batch.num_rows, rows)]


def _in_key_order(found: pa.Table, key: list[str]) -> pa.Table:
    values = [found.column(name).to_numpy() for name in key]
    if not np.any(np.diff(values[0].view("i8")) <= 0):
        return found
    order = np.lexsort(values[::-1])
    return found.take(pa.array(order)).combine_chunks()


def _column(found: pa.ChunkedArray, field: pa.Field) -> pa.Array:
    values = found.chunk(0) if found.num_chunks else pa.array([], found.type)
    if field.name == TIME:
        return _milliseconds(values)
    if values.type != field.type:
        values = values.cast(field.type)
    if values.null_count and not field.nullable:
        if field.type != pa.float64():
            raise DataLoss(f"Column {field.name!r} has nulls in QuestDB where none were written.")
        values = pc.fill_null(values, float("nan"))
    return values


def _milliseconds(values: pa.Array) -> pa.Array:
    whole = values.view(pa.int64()).to_numpy()
    times = whole // _US
    if not np.array_equal(times * _US, whole):
        raise DataLoss("The table of QuestDB has times between milliseconds.")
    return pa.array(times)
