"""Indices to times and back, and rows backwards, whatever reads the rows."""

from __future__ import annotations

from collections.abc import AsyncGenerator

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.dataset.app import boundaries
from services.dataset.app import descending as backwards
from services.dataset.app.boundaries import lower_bounds, times_at
from services.dataset.domain.times import Times
from services.shared.series import Rows


class Column:
    """A column of times that counts what is read of it."""

    def __init__(self, times: Times) -> None:
        self.times = times
        self.reads: list[Rows] = []

    async def __call__(self, rows: Rows) -> Times:
        assert 0 <= rows.start < rows.end <= len(self.times)
        self.reads.append(rows)
        return self.times[rows.start : rows.end]


steps = st.lists(st.integers(1, 5), max_size=200)


@settings(deadline=None)
@given(steps=steps, asked=st.lists(st.integers(-3, 700), max_size=40), block=st.integers(1, 50))
async def test_every_time_is_found_where_a_search_of_the_whole_column_finds_it(
    steps: list[int], asked: list[int], block: int
) -> None:
    times = np.cumsum(np.array(steps, np.int64))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(boundaries, "BLOCK_ROWS", block)
        column = Column(times)
        found = await lower_bounds(column, np.array(asked, np.int64), len(times))
    assert found.tolist() == np.searchsorted(times, asked, side="left").tolist()
    assert sum(rows.end - rows.start for rows in column.reads) <= 2 * len(times)


async def test_one_time_in_a_long_table_costs_a_block_and_a_few_rows() -> None:
    column = Column(np.arange(10_000_000, dtype=np.int64) * 60_000)
    asked = np.array([123_456 * 60_000 - 1])
    assert (await lower_bounds(column, asked, 10_000_000)).tolist() == [123_456]
    assert sum(rows.end - rows.start for rows in column.reads) <= boundaries.BLOCK_ROWS + 8


@settings(deadline=None)
@given(steps=steps, data=st.data(), block=st.integers(1, 50))
async def test_indices_have_the_times_of_their_rows(
    steps: list[int], data: st.DataObject, block: int
) -> None:
    times = np.cumsum(np.array(steps, np.int64))
    rows = st.integers(0, max(len(times) - 1, 0))
    asked = np.array(data.draw(st.lists(rows, max_size=20 if len(times) else 0)), np.int64)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(boundaries, "BLOCK_ROWS", block)
        found = await times_at(Column(times), asked)
    assert found.tolist() == times[asked].tolist()


@settings(deadline=None)
@given(
    length=st.integers(0, 60),
    start=st.integers(0, 60),
    cut=st.integers(1, 9),
    block_rows=st.integers(1, 25),
)
async def test_descending_is_ascending_reversed(
    length: int, start: int, cut: int, block_rows: int
) -> None:
    texts = [None if i % 5 == 0 else f"t{i}" for i in range(start, start + length)]
    table = pa.table({"index": range(start, start + length), "text": pa.array(texts, pa.string())})

    async def rows_of(rows: Rows) -> AsyncGenerator[pa.RecordBatch]:
        part = table.slice(rows.start - start, rows.end - rows.start)
        for batch in part.to_batches(max_chunksize=cut):
            yield batch

    rows = Rows(start, start + length)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(backwards, "BLOCK_BYTES", 16 * block_rows)
        batches = [batch async for batch in backwards.descending(rows_of, rows, columns=2)]
    found = pa.Table.from_batches(batches, table.schema)
    assert found.to_pylist() == table.to_pylist()[::-1]
