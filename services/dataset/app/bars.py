"""Reading what was published: rows of one table, or indicator rows with their bars."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Final, NamedTuple
from uuid import UUID

import numpy as np
import pyarrow as pa

from services.dataset.domain.columns import Table
from services.dataset.domain.manifest import Manifest, measurement, watermark
from services.dataset.storage.protocol import Catalogue
from services.shared.arrow_stream import Piece
from services.shared.errors import InvalidRequest, Violation
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


class Reading(NamedTuple):
    """Pieces of an Arrow stream for `arrow_stream.encode`."""

    schema: pa.Schema
    pieces: AsyncGenerator[Piece]


class Bars:
    def __init__(self, *, catalogue: Catalogue, series: SeriesStore) -> None:
        self._catalogue = catalogue
        self._series = series

    async def read(self, query: BarsQuery) -> Reading:
        """Raises InvalidRequest for unknown columns and for indices outside the table."""
        manifest = await self._manifest(query.name, query.version)
        table = measurement(manifest, query.table)
        span = _within(query.span, _rows(manifest, query.table))
        columns = _columns(manifest, query)
        if query.table is Table.JOINED:
            return await self._joined(manifest, columns, span)
        # Rows as they are stored can be sent as they are stored.
        wanted = None if query.columns is None else [INDEX, TIME, *columns]
        schema = await self._series.schema(table, wanted)
        below_ms = watermark(manifest, query.table)
        pieces = self._series.read_pieces(table, wanted, span=span, below_ms=below_ms)
        return Reading(schema, pieces)

    async def times_of(
        self, name: UUID | str, version: int | None, table: Table, indices: Sequence[int]
    ) -> list[int]:
        """The time of each index, which must lie within the table."""
        manifest = await self._manifest(name, version)
        asked = np.array(indices, dtype=np.int64)
        if not len(asked):
            return []
        span = Rows(int(asked.min()), int(asked.max()) + 1)
        _within(span, _rows(manifest, table))
        found = np.empty(len(asked), dtype=np.int64)
        start = span.start
        async for times in self._times(manifest, table, span):
            here = (asked >= start) & (asked < start + len(times))
            found[here] = times[asked[here] - start]
            start += len(times)
        return found.tolist()

    async def indices_of(
        self, name: UUID | str, version: int | None, table: Table, times_ms: Sequence[int]
    ) -> list[int]:
        """For each time the first index that is not earlier; the row count when there is none."""
        manifest = await self._manifest(name, version)
        asked = np.array(times_ms, dtype=np.int64)
        earlier = np.zeros(len(asked), dtype=np.int64)
        async for times in self._times(manifest, table, None):
            earlier += np.searchsorted(times, asked, side="left")
        return earlier.tolist()

    async def _times(
        self, manifest: Manifest, table: Table, span: Rows | None
    ) -> AsyncIterator[np.ndarray]:
        name, below_ms = measurement(manifest, table), watermark(manifest, table)
        rows = self._series.read(name, [TIME], span=span, below_ms=below_ms)
        async with aclosing(rows) as batches:
            async for batch in batches:
                yield batch.column(0).to_numpy()

    async def _manifest(self, name: UUID | str, version: int | None) -> Manifest:
        async with self._catalogue.transaction() as catalogue:
            return (await catalogue.dataset(name, version)).manifest

    async def _joined(
        self, manifest: Manifest, columns: Sequence[str], span: Span | None
    ) -> Reading:
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
        return Reading(schema, self._in_step(sides, schema, span, _bar_span(manifest, span)))

    async def _in_step(
        self, sides: _Sides, schema: pa.Schema, span: Span | None, bar_span: Span
    ) -> AsyncGenerator[Piece]:
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


def _rows(manifest: Manifest, table: Table) -> int:
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
    unknown = [name for name in asked if name not in always and name not in set(known)]
    if unknown:
        shown = ", ".join(unknown[:10])
        message = f"has {shown}, which {manifest.dataset_slug} does not have in {query.table}"
        raise InvalidRequest([Violation("columns", message)], reason="UNKNOWN_COLUMN")
    return [name for name in asked if name not in always]
