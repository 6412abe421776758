"""An append reads and writes what it brings, and at most one block of hashing besides."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from services.shared.canonical import BLOCK_ROWS
from services.shared.postgres import Pool
from services.shared.series.arrow_files import ArrowFiles
from tests.integration.dataset.growing import World
from tests.integration.dataset.inside import append, order, started


class Counting:
    """Counts the rows that go in and out of a store, and fails what would read a table whole."""

    def __init__(self, series: ArrowFiles) -> None:
        self._series = series
        self.read_rows = self.written_rows = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._series, name)

    async def read(self, *args: Any, **kwargs: Any) -> AsyncGenerator[pa.RecordBatch]:
        async with aclosing(self._series.read(*args, **kwargs)) as batches:
            async for batch in batches:
                self.read_rows += batch.num_rows
                yield batch

    async def write(self, table: str, batches: AsyncIterable[pa.RecordBatch]) -> None:
        await self._series.write(table, self._counted(batches))

    async def _counted(
        self, batches: AsyncIterable[pa.RecordBatch]
    ) -> AsyncIterator[pa.RecordBatch]:
        async for batch in batches:
            self.written_rows += batch.num_rows
            yield batch


@pytest.mark.parametrize("rows", [10_000, 200_000])
async def test_an_append_costs_what_it_brings_whatever_lies_before(
    migrated: Pool, tmp_path: Path, rows: int
) -> None:
    world, repeated, new = World(rows + 100), 50, 100
    stores: list[Counting] = []

    def counting(series: ArrowFiles) -> Counting:
        stores.append(Counting(series))
        return stores[-1]

    async with started(migrated, tmp_path, series=counting) as service:
        slug = f"cost_{rows}"
        await service.run(order(slug), *world.files((0, rows), (0, rows - 56)))
        (store,) = stores
        store.read_rows = store.written_rows = 0
        files = world.files((rows - repeated, rows + new), (rows - 56 - repeated, rows - 56 + new))
        grown = await service.append(append(slug), *files)
        assert grown.report.counts.ohlcv_rows == grown.report.counts.indicator_rows == new
    assert store.written_rows == 2 * new
    open_rows = rows % BLOCK_ROWS + (rows - 56) % BLOCK_ROWS
    # Compared; staged and read back; waiting bars; the open blocks before and after the merge.
    allowed = 2 * repeated + 2 * new + 6 + 2 * open_rows + 2 * new
    assert store.read_rows <= allowed < 4 * (BLOCK_ROWS + new + repeated)
