"""A range of rows summed up in buckets, for charts."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Final
from uuid import UUID

import pyarrow as pa

from services.dataset.app.bars import Bars, Reading, refuse_unknown
from services.dataset.domain.columns import ColumnType, Table
from services.dataset.domain.manifest import Manifest, measurement
from services.dataset.domain.tiles import (
    ROWS,
    Buckets,
    Measure,
    Values,
    first,
    last,
    least,
    most,
    total,
)
from services.shared.arrow_stream import Piece
from services.shared.errors import InvalidRequest, Violation
from services.shared.series import TIME, Rows, SeriesStore, Times
from services.shared.threads import in_thread

_CANDLE: Final = (
    first("open", "open"),
    most("high", "high"),
    least("low", "low"),
    last("close", "close"),
    total("volume", "volume"),
)
_MESSAGE_BUCKETS: Final = 4096


@dataclass(frozen=True, kw_only=True)
class TilesQuery:
    """Bars come as candles, `columns` as their least and greatest values."""

    name: UUID | str
    version: int | None
    table: Table
    columns: tuple[str, ...]
    times: Times | None
    buckets: int


class Tiles:
    def __init__(self, *, bars: Bars, series: SeriesStore) -> None:
        self._bars = bars
        self._series = series

    async def read(self, query: TilesQuery) -> Reading:
        """Raises InvalidRequest for columns that are unknown or hold text."""
        manifest = await self._bars.manifest(query.name, query.version)
        name = measurement(manifest, query.table)
        measures = _measures(query.table, _numbers(manifest, query))
        rows = await self._bars.rows_in(manifest, query.table, query.times)
        buckets = Buckets(measures, rows=rows.end - rows.start, buckets=query.buckets)
        filled = self._filled(name, rows, measures, buckets)
        return Reading(_schema(measures), _gathered(_schema(measures), filled))

    async def _filled(
        self, name: str, rows: Rows, measures: Sequence[Measure], buckets: Buckets
    ) -> AsyncGenerator[dict[str, Values]]:
        columns = list(dict.fromkeys(measure.column for measure in measures))
        async with aclosing(self._series.read(name, columns, span=rows)) as batches:
            async for batch in batches:
                yield await in_thread(buckets.add, batch)
        yield buckets.finish()


def _numbers(manifest: Manifest, query: TilesQuery) -> list[str]:
    types = {column.name: column.type for column in manifest.columns_of(query.table)}
    refuse_unknown(manifest, query.table, set(query.columns) - set(types))
    text = [name for name in query.columns if types[name] is ColumnType.STRING]
    if text:
        message = f"has {', '.join(text[:10])}, which hold text and have no least value"
        raise InvalidRequest([Violation("columns", message)])
    return list(dict.fromkeys(query.columns))


def _measures(table: Table, columns: Sequence[str]) -> list[Measure]:
    candle = _CANDLE if table is Table.OHLCV else ()
    lines = [name for name in columns if name not in {measure.column for measure in candle}]
    reach = [of for name in lines for of in (least(f"{name}.min", name), most(f"{name}.max", name))]
    return [first(TIME, TIME), *candle, *reach]


def _schema(measures: Sequence[Measure]) -> pa.Schema:
    time, *others = measures
    whole = [pa.field(name, pa.int64(), nullable=False) for name in (time.name, ROWS)]
    return pa.schema([*whole, *(pa.field(measure.name, pa.float64()) for measure in others)])


async def _gathered(
    schema: pa.Schema, filled: AsyncGenerator[dict[str, Values]]
) -> AsyncGenerator[Piece]:
    """A batch of rows may fill one bucket or thousands; messages hold thousands."""
    held: list[pa.RecordBatch] = []
    async with aclosing(filled):
        async for found in filled:
            if found:
                arrays = [pa.array(found[name], from_pandas=True) for name in schema.names]
                held.append(pa.RecordBatch.from_arrays(arrays, schema=schema))
            if sum(batch.num_rows for batch in held) >= _MESSAGE_BUCKETS:
                yield pa.concat_batches(held)
                held = []
    if held:
        yield pa.concat_batches(held)
