"""Rows of a table as Arrow: slices of time, each one answer of the server, one fetched ahead.

An answer is decoded as its rows are taken, so that there are few of them beside it.

The server reads a range of time several times faster than a range of positions,
so positions are turned into times first. Slices never part rows of one time.
How long texts are shows only when they are there: slices of them begin small.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterator, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
import pyarrow as pa

from services.shared.arrow_stream import CHUNK_BYTES
from services.shared.errors import DataLoss, InvalidRequest, Violation
from services.shared.series import INDEX, TIME, Rows, Span
from services.shared.series.columns import times_of
from services.shared.series.questdb.buffers import AnswerTooLong
from services.shared.series.questdb.converting import column_of, in_key_order, parts
from services.shared.series.questdb.layout import LAST_MS, Layout, quoted
from services.shared.series.questdb.memory import DECODED_PARTS, Claim, Sizing
from services.shared.series.questdb.wire import Answer, Wire

_LONGEST_LIST: Final = 28_000  # characters
_US: Final = 1000


@dataclass(frozen=True, kw_only=True)
class Stretch:
    """[start, end) of positions, and of µs where known."""

    start: int
    end: int
    start_us: int | None
    end_us: int | None


class Slice(NamedTuple):
    answer: Answer
    first_row: int


class Reader:
    """One reader of one table. `times` keeps the µs of positions, where there is an index."""

    def __init__(
        self, wire: Wire, layout: Layout, columns: pa.Schema, times: dict[int, int], claim: Claim
    ) -> None:
        self._wire = wire
        self._layout = layout
        self._columns = columns
        self._times = times
        self._asked = self._asked_columns()
        self._sizing = Sizing(claim, self._asked, is_decoded_at_once=not layout.has_index)

    async def batches(
        self, span: Span | None, below_ms: int | None, where: Mapping[str, int]
    ) -> AsyncGenerator[pa.RecordBatch]:
        if self._layout.has_index:
            found = self._by_position(await self._stretch(span, below_ms))
        else:
            found = self._by_time(*await self._range_us(span, below_ms), where)
        async with aclosing(ahead(found)) as slices:
            async for found_slice in slices:
                async with aclosing(self._decoded(found_slice)) as batches:
                    async for batch in batches:
                        for part in parts(batch):
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
        condition = "" if ms is None else self._before(ms * _US)
        return int(await self._value(f'SELECT count() FROM "{self._layout.table}"{condition}') or 0)

    async def _range_us(self, span: Span | None, below_ms: int | None) -> tuple[int, int]:
        """[start, end), which ends behind the last row there is now."""
        start_ms, end_ms = (_clamped(ms) for ms in times_of(span, below_ms))
        layout = self._layout
        last_us = await self._value(f'SELECT max("{layout.time}")::LONG FROM "{layout.table}"')
        end_us = 0 if last_us is None else last_us + 1
        return (start_ms or 0) * _US, end_us if end_ms is None else min(end_us, end_ms * _US)

    def _before(self, us: int) -> str:
        """Small numbers alone would be read as years."""
        return f' WHERE "{self._layout.time}"<{us}::TIMESTAMP'

    def _between(self, start_us: int, end_us: int) -> str:
        return f'{self._before(end_us)} AND "{self._layout.time}">={start_us}::TIMESTAMP'

    async def _value(self, query: str) -> int | None:
        """The first of an answer, which may be empty or null."""
        rows = await self._wire.rows(query, table=self._layout.table)
        return rows[0][0] if rows else None

    async def _by_position(self, stretch: Stretch) -> AsyncGenerator[Slice]:
        """Of a table that grows at its end only: a row keeps its position."""
        start, start_us = stretch.start, stretch.start_us
        while start < stretch.end:
            if start_us is None:
                start_us = await self._time_at(start)
            end = min(start + self._sizing.next(), stretch.end)
            is_last = end == stretch.end and stretch.end_us is not None
            end_us = stretch.end_us if is_last else await self._time_at(end - 1) + 1
            assert end_us is not None
            found = await self._slice(self._between(start_us, end_us), end - start)
            if found is None:
                continue
            self._check(found, end - start)
            yield Slice(found, start)
            start, start_us = end, end_us

    def _check(self, found: Answer, rows: int) -> None:
        if found.rows == rows:
            return
        self._times.clear()
        table = self._layout.table
        if not self._layout.has_unique_keys:
            told = f"is {table!r}, which has several rows of one time, or is being changed"
            raise InvalidRequest([Violation("table", told)])
        raise DataLoss(
            f"Table {table} of QuestDB gave {found.rows} rows where {rows} were counted: "
            "it was changed from elsewhere while it was read."
        )

    async def _by_time(
        self, start_us: int, end_us: int, where: Mapping[str, int]
    ) -> AsyncGenerator[Slice]:
        """Rows may come in anywhere meanwhile: a slice begins at the time where the last ended."""
        compared = "".join(f' AND "{self._layout.name_of(n)}"={v:d}' for n, v in where.items())
        while start_us < end_us:
            rows = self._sizing.next()
            edge_us = await self._edge(start_us, end_us, rows)
            found = await self._slice(self._between(start_us, edge_us) + compared, rows)
            if found is None:
                continue
            yield Slice(found, 0)
            start_us = edge_us

    async def _edge(self, start_us: int, end_us: int, rows: int) -> int:
        """A time before which lie about so many rows of this range."""
        layout = self._layout
        query = (
            f'SELECT "{layout.time}"::LONG FROM "{layout.table}"{self._between(start_us, end_us)} '
            f"LIMIT {rows - 1},{rows}"
        )
        last_us = await self._value(query)
        return end_us if last_us is None else last_us + 1

    async def _time_at(self, position: int) -> int:
        if position not in self._times:
            table, time = self._layout.table, self._layout.time
            query = f'SELECT "{time}"::LONG FROM "{table}" LIMIT {position},{position + 1}'
            us = await self._value(query)
            if us is None:
                raise DataLoss(f"Table {table} of QuestDB has no row {position} any more.")
            self._times[position] = us
        return self._times[position]

    async def _slice(self, condition: str, rows: int) -> Answer | None:
        """None where it would be too long: the next one is shorter."""
        layout, sizing = self._layout, self._sizing
        query = f'SELECT {self._names()} FROM "{layout.table}"{condition}'
        likely = sizing.likely_bytes(rows)
        try:
            found = await self._wire.slice(
                query, table=layout.table, likely=likely, most=sizing.most_bytes
            )
        except AnswerTooLong:
            sizing.did_not_fit()
            return None
        sizing.fitted(found.rows, found.size)
        return found

    def _asked_columns(self) -> pa.Schema:
        """With those that tell the order; all of them where a query could not name so many."""
        layout = self._layout
        ordering = () if layout.has_index else layout.key
        wanted = dict.fromkeys([*self._columns.names, *ordering, TIME])
        wanted.pop(INDEX, None)
        asked = pa.schema([layout.columns.field(name) for name in wanted])
        is_long = len(self._listed(asked)) > _LONGEST_LIST
        return layout.columns if is_long and not layout.varchars else asked

    def _names(self) -> str:
        is_all = len(self._asked) == len(self._layout.names)
        return "*" if is_all and not self._layout.varchars else self._listed(self._asked)

    def _listed(self, columns: pa.Schema) -> str:
        layout = self._layout
        return ",".join(_exported(layout, layout.name_of(name)) for name in columns.names)

    async def _decoded(self, found: Slice) -> AsyncGenerator[pa.RecordBatch]:
        batches = self._batches(found)
        while (batch := await self._wire.decoded(lambda: next(batches, None))) is not None:
            yield batch

    def _batches(self, found: Slice) -> Iterator[pa.RecordBatch]:
        """To be run in threads."""
        answer, row = found
        if not self._layout.has_index:
            if answer.rows:
                yield self._batch(self._whole(answer), row)
            return
        turns = min(DECODED_PARTS, 1 + answer.size // CHUNK_BYTES)
        for batch in answer.file.iter_batches(1 + answer.rows // turns, use_threads=False):
            self._sizing.decoded(batch)
            yield self._batch(batch, row)
            row += batch.num_rows

    def _whole(self, answer: Answer) -> pa.RecordBatch:
        whole = answer.file.read(use_threads=False).combine_chunks().to_batches()[0]
        self._sizing.decoded(whole)
        return whole

    def _batch(self, found: pa.RecordBatch, first_row: int) -> pa.RecordBatch:
        layout = self._layout
        if not layout.has_index:
            found = in_key_order(found, [layout.name_of(name) for name in layout.key])
        columns = [
            pa.array(np.arange(first_row, first_row + found.num_rows))
            if field.name == INDEX
            else column_of(found.column(layout.name_of(field.name)), field)
            for field in self._columns
        ]
        return pa.RecordBatch.from_arrays(columns, schema=self._columns)


def _exported(layout: Layout, name: str) -> str:
    return f'"{name}"::STRING "{name}"' if name in layout.varchars else quoted(name)


def _clamped(ms: int | None) -> int | None:
    """Into what the server takes for a time."""
    return None if ms is None else min(max(ms, 0), LAST_MS + 1)


async def ahead(source: AsyncGenerator[Slice]) -> AsyncGenerator[Slice]:
    """The same, with one fetched while one is used."""
    coming = asyncio.ensure_future(anext(source, None))
    try:
        while (found := await coming) is not None:
            coming = asyncio.ensure_future(anext(source, None))
            yield found
    finally:
        coming.cancel()
        await asyncio.gather(coming, return_exceptions=True)
        await source.aclose()
