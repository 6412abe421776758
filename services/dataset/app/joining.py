"""Indicator rows with the bars they stand on."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Final, TypeAlias

import pyarrow as pa

from services.dataset.domain.columns import Table
from services.dataset.domain.manifest import Manifest, measurement, watermark
from services.shared.series import INDEX, TIME, Rows, SeriesStore, Span, Times

OHLCV_INDEX: Final = "ohlcv_index"

BatchesOf: TypeAlias = Callable[[Span | None], AsyncGenerator[pa.RecordBatch]]


async def joined(
    series: SeriesStore, manifest: Manifest, columns: Sequence[str]
) -> tuple[pa.Schema, BatchesOf]:
    """`index`, `timestamp_ms`, `ohlcv_index` and these columns of either table."""
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
    left = await series.schema(sides.indicators, sides.indicator_columns)
    right = await series.schema(sides.ohlcv, [INDEX, *sides.ohlcv_columns])
    fields = [*left, *right.remove(0)]
    by_name = {field.name: field for field in fields}
    ohlcv_index = pa.field(OHLCV_INDEX, pa.int64(), nullable=False)
    schema = pa.schema(
        [by_name[INDEX], by_name[TIME], ohlcv_index, *(by_name[name] for name in columns)]
    )

    def batches(span: Span | None) -> AsyncGenerator[pa.RecordBatch]:
        return _in_step(series, sides, schema, span, _bar_span(manifest, span))

    return schema, batches


async def _in_step(
    series: SeriesStore, sides: _Sides, schema: pa.Schema, span: Span | None, bar_span: Span
) -> AsyncGenerator[pa.RecordBatch]:
    indicators = series.read(
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
    bars = series.read(
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
