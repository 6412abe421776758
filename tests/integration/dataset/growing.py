"""A table of bars and indicators, cut into what an import and appends bring of it."""

from __future__ import annotations

import io

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from services.dataset.app.bars import Bars, BarsQuery
from services.dataset.domain.catalogue import Dataset
from services.dataset.domain.columns import Table
from services.shared.arrow_stream import decode, encode
from tests.integration.dataset.client import bar_file, indicator_file
from tests.integration.dataset.inside import Service
from tests.unit.dataset.bars import hourly


class World:
    """Hourly bars, and indicators on all but the first `lookback` and last `lookahead` of them."""

    def __init__(self, bars: int, *, lookback: int = 50, lookahead: int = 6, seed: int = 1) -> None:
        times = hourly(bars)
        self.bars = opened(bar_file(times, seed=seed))
        self.indicators = opened(indicator_file(times[lookback : bars - lookahead], seed=seed))

    def bars_file(self, start: int, end: int) -> bytes:
        return written(self.bars.slice(start, end - start))

    def indicators_file(self, start: int, end: int) -> bytes:
        return written(self.indicators.slice(start, end - start))

    def files(self, bars: tuple[int, int], indicators: tuple[int, int]) -> tuple[bytes, bytes]:
        return self.bars_file(*bars), self.indicators_file(*indicators)


def opened(file: bytes) -> pa.Table:
    return pa.ipc.open_stream(file).read_all()


def written(table: pa.Table) -> bytes:
    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return sink.getvalue()


def changed(table: pa.Table, row: int, name: str, value: float | None) -> pa.Table:
    mask = pa.array(np.arange(len(table)) == row)
    column = pc.replace_with_mask(
        table[name].combine_chunks(), mask, pa.array([value], pa.float64())
    )
    return table.set_column(table.schema.get_field_index(name), name, column)


async def read_version(service: Service, dataset: Dataset, table: Table) -> pa.Table:
    """As a reader of that version gets it."""
    query = BarsQuery(
        name=dataset.dataset_id, version=dataset.version, table=table, columns=None, span=None
    )
    reading = await Bars(catalogue=service.catalogue, series=service.series).read(query)
    batches = [batch async for batch in decode(encode(reading.schema, reading.pieces))]
    return pa.Table.from_batches(batches, reading.schema)
