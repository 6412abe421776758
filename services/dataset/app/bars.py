"""Reading what was published: rows of one table, or indicator rows with their bars."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Collection, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Final, NamedTuple
from uuid import UUID

import numpy as np
import pyarrow as pa

from services.dataset.app.boundaries import TimesOf, lower_bounds, times_at
from services.dataset.app.descending import descending
from services.dataset.domain.columns import Table
from services.dataset.domain.manifest import Manifest, measurement, watermark
from services.dataset.domain.times import Times as Timestamps
from services.dataset.storage.protocol import Catalogue
from services.shared.arrow_stream import Piece
from services.shared.errors import DataLoss, InvalidRequest, Violation
from services.shared.series import INDEX, TIME, Rows, SeriesStore, Span, Times

OHLCV_INDEX: Final = "ohlcv_index"


@dataclass(frozen=True, kw_only=True)
class BarsQuery:
    """`index` and `timestamp_ms` always come; None asks for every column and every row."""

    name: UUID | str
    version: int | None
    table: Table
    columns: tuple[str, ...] | None
    span: Span | None
    descending: bool = False


class Reading(NamedTuple):
    """Pieces of an Arrow stream for `arrow_stream.encode`."""

    schema: pa.Schema
    pieces: AsyncGenerator[Piece]


class _Source(NamedTuple):
    """What is read, and how a span of it is."""

    schema: pa.Schema
    batches: Callable[[Span | None], AsyncGenerator[pa.RecordBatch]]
    pieces: Callable[[Span | None], AsyncGenerator[Piece]]


class Bars:
    def __init__(self, *, catalogue: Catalogue, series: SeriesStore) -> None:
        self._catalogue = catalogue
        self._series = series

    async def read(self, query: BarsQuery) -> Reading:
        """Raises InvalidRequest for unknown columns and for indices outside the table."""
        manifest = await self.manifest(query.name, query.version)
        measurement(manifest, query.table)
        span = _within(query.span, rows_of(manifest, query.table))
        columns = _columns(manifest, query)
        if query.table is Table.JOINED:
            source = await self._joined(manifest, columns)
        else:
            # Rows as they are stored can be sent as they are stored.
            wanted = None if query.columns is None else [INDEX, TIME, *columns]
            source = await self._stored(manifest, query.table, wanted)
        if not query.descending:
            return Reading(source.schema, source.pieces(span))
        rows = await self.rows_in(manifest, query.table, span)
        return Reading(source.schema, descending(source.batches, rows, columns=len(source.schema)))

    async def _stored(self, manifest: Manifest, table: Table, wanted: list[str] | None) -> _Source:
        name, below_ms = measurement(manifest, table), watermark(manifest, table)

        def batches(span: Span | None) -> AsyncGenerator[pa.RecordBatch]:
            return self._series.read(name, wanted, span=span, below_ms=below_ms)

        def pieces(span: Span | None) -> AsyncGenerator[Piece]:
            return self._series.read_pieces(name, wanted, span=span, below_ms=below_ms)

        return _Source(await self._series.schema(name, wanted), batches, pieces)

    async def rows_in(self, manifest: Manifest, table: Table, span: Span | None) -> Rows:
        count = rows_of(manifest, table)
        if span is None:
            return Rows(0, count)
        if isinstance(span, Rows):
            return span
        asked = np.array([span.start_ms, span.end_ms])
        start, end = await lower_bounds(self._times_of(manifest, table), asked, count)
        return Rows(int(start), int(end))

    async def times_of(
        self, name: UUID | str, version: int | None, table: Table, indices: Sequence[int]
    ) -> list[int]:
        """The time of each index, which must lie within the table."""
        manifest = await self.manifest(name, version)
        asked = np.array(indices, dtype=np.int64)
        if not len(asked):
            return []
        _within(Rows(int(asked.min()), int(asked.max()) + 1), rows_of(manifest, table))
        found: list[int] = (await times_at(self._times_of(manifest, table), asked)).tolist()
        return found

    async def indices_of(
        self, name: UUID | str, version: int | None, table: Table, times_ms: Sequence[int]
    ) -> list[int]:
        """For each time the first index that is not earlier; the row count when there is none."""
        manifest = await self.manifest(name, version)
        asked = np.array(times_ms, dtype=np.int64)
        times_of, rows = self._times_of(manifest, table), rows_of(manifest, table)
        found: list[int] = (await lower_bounds(times_of, asked, rows)).tolist()
        return found

    def _times_of(self, manifest: Manifest, table: Table) -> TimesOf:
        name = measurement(manifest, table)

        async def times_of(rows: Rows) -> Timestamps:
            async with aclosing(self._series.read(name, [TIME], span=rows)) as batches:
                parts = [batch.column(0).to_numpy() async for batch in batches]
            times = np.concatenate([np.empty(0, np.int64), *parts])
            if len(times) != rows.end - rows.start:
                raise DataLoss(
                    f"Table {name} holds {len(times)} of the rows [{rows.start}, {rows.end})."
                )
            return times

        return times_of

    async def manifest(self, name: UUID | str, version: int | None) -> Manifest:
        async with self._catalogue.transaction() as catalogue:
            return (await catalogue.dataset(name, version)).manifest

    async def _joined(self, manifest: Manifest, columns: Sequence[str]) -> _Source:
        bars = {column.name for column in manifest.columns_of(Table.OHLCV)}
        sides = _Sides(
            indicators=measurement(manifest, Table.INDICATORS),
            indicator_columns=[INDEX, TIME, *(name for name in columns if name not in bars)],
            indicators_below_ms=watermark(manifest, Table.INDICATORS),
            ohlcv=manifest.ohlcv_measurement,
            ohlcv_columns=[name for name in columns if name in bars],
            ohlcv_below_ms=watermark(manifest, Table.OHLCV),
            lookback_rows=manifest.lookback_rows,
        )
        left = await self._series.schema(sides.indicators, sides.indicator_columns)
        right = await self._series.schema(sides.ohlcv, [INDEX, *sides.ohlcv_columns])
        fields = [*left, *right.remove(0)]
        by_name = {field.name: field for field in fields}
        ohlcv_index = pa.field(OHLCV_INDEX, pa.int64(), nullable=False)
        schema = pa.schema(
            [by_name[INDEX], by_name[TIME], ohlcv_index, *(by_name[name] for name in columns)]
        )

        def batches(span: Span | None) -> AsyncGenerator[pa.RecordBatch]:
            return self._in_step(sides, schema, span, _bar_span(manifest, span))

        return _Source(schema, batches, batches)

    async def _in_step(
        self, sides: _Sides, schema: pa.Schema, span: Span | None, bar_span: Span
    ) -> AsyncGenerator[pa.RecordBatch]:
        indicators = self._series.read(
            sides.indicators,
            sides.indicator_columns,
            span=span,
            below_ms=sides.indicators_below_ms,
        )
        if not sides.ohlcv_columns:
            async with aclosing(indicators):
                async for batch in indicators:
                    yield sides.joined(schema, batch)
            return
        bars = self._series.read(
            sides.ohlcv, sides.ohlcv_columns, span=bar_span, below_ms=sides.ohlcv_below_ms
        )
        pairs = in_step(indicators, bars)
        async with aclosing(indicators), aclosing(bars), aclosing(pairs):
            async for batch, bar_batch in pairs:
                yield sides.joined(schema, batch, bar_batch)


@dataclass(frozen=True, kw_only=True)
class _Sides:
    """Both tables of a join; indicator row i stands on bar i + lookback_rows."""

    indicators: str
    indicator_columns: list[str]
    indicators_below_ms: int
    ohlcv: str
    ohlcv_columns: list[str]
    ohlcv_below_ms: int
    lookback_rows: int

    def joined(
        self, schema: pa.Schema, batch: pa.RecordBatch, bars: pa.RecordBatch | None = None
    ) -> pa.RecordBatch:
        arrays = dict(zip(batch.schema.names, batch.columns, strict=True))
        if bars is not None:
            arrays |= zip(bars.schema.names, bars.columns, strict=True)
        arrays[OHLCV_INDEX] = pa.array(arrays[INDEX].to_numpy() + self.lookback_rows)
        return pa.record_batch([arrays[name] for name in schema.names], schema=schema)


async def in_step(
    left: AsyncIterator[pa.RecordBatch], right: AsyncIterator[pa.RecordBatch]
) -> AsyncGenerator[tuple[pa.RecordBatch, pa.RecordBatch]]:
    """Two streams of equally many rows, cut alike, without copying."""
    a = b = None
    while True:
        a = a if a else await anext(left, None)
        b = b if b else await anext(right, None)
        if a is None or b is None:
            if a or b:
                raise RuntimeError("The streams to be joined have different numbers of rows.")
            return
        rows = min(a.num_rows, b.num_rows)
        yield a.slice(0, rows), b.slice(0, rows)
        a = a.slice(rows) if a.num_rows > rows else None
        b = b.slice(rows) if b.num_rows > rows else None


def _bar_span(manifest: Manifest, span: Span | None) -> Span:
    """The bars of the indicator rows in `span`."""
    if isinstance(span, Rows):
        return Rows(span.start + manifest.lookback_rows, span.end + manifest.lookback_rows)
    first = manifest.lookback_rows
    if span is None:
        return Rows(first, first + manifest.indicator_rows)
    assert manifest.first_indicator_timestamp_ms is not None
    assert manifest.last_indicator_timestamp_ms is not None
    return Times(
        max(span.start_ms, manifest.first_indicator_timestamp_ms),
        min(span.end_ms, manifest.last_indicator_timestamp_ms + 1),
    )


def rows_of(manifest: Manifest, table: Table) -> int:
    return manifest.ohlcv_rows if table is Table.OHLCV else manifest.indicator_rows


def _within(span: Span | None, rows: int) -> Span | None:
    if isinstance(span, Rows) and not 0 <= span.start <= span.end <= rows:
        message = f"is [{span.start}, {span.end}), and the table has the rows [0, {rows})"
        raise InvalidRequest([Violation("indices", message)], reason="OUT_OF_RANGE")
    if isinstance(span, Times) and span.start_ms > span.end_ms:
        message = f"is [{span.start_ms}, {span.end_ms}), which ends before it starts"
        raise InvalidRequest([Violation("times", message)])
    return span


def _columns(manifest: Manifest, query: BarsQuery) -> list[str]:
    """In the order asked for, without those that always come."""
    tables = {Table.OHLCV, Table.INDICATORS} if query.table is Table.JOINED else {query.table}
    known = [column.name for column in manifest.columns if column.table in tables]
    if query.columns is None:
        return known
    asked = list(dict.fromkeys(query.columns))
    always = {INDEX, TIME, *([OHLCV_INDEX] if query.table is Table.JOINED else [])}
    refuse_unknown(manifest, query.table, set(asked) - always - set(known))
    return [name for name in asked if name not in always]


def refuse_unknown(manifest: Manifest, table: Table, unknown: Collection[str]) -> None:
    if unknown:
        shown = ", ".join(sorted(unknown)[:10])
        message = f"has {shown}, which {manifest.dataset_slug} does not have in {table}"
        raise InvalidRequest([Violation("columns", message)], reason="UNKNOWN_COLUMN")
