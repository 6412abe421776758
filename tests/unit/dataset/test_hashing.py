"""Hashes of what a store holds: the same however wide the table is."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import numpy as np
import pyarrow as pa
import pytest

from services.dataset.app.hashing import as_stream, read_hash, table_hash
from services.shared.canonical import BLOCK_ROWS
from services.shared.series import Rows, SeriesStore
from services.shared.series.arrow_files import arrow_files


def table_of(rows: int, columns: int) -> pa.Table:
    rng = np.random.default_rng(columns)
    values = {f"c{i}": rng.normal(size=rows) for i in range(columns - 1)}
    texts = pa.array([f"t{i % 7}" if i % 5 else None for i in range(rows)], pa.string())
    return pa.table({"timestamp_ms": np.arange(rows), **values, "market": texts})


@pytest.mark.parametrize("columns", [3, 33, 300])
@pytest.mark.parametrize("rows", [1, BLOCK_ROWS, BLOCK_ROWS + 5])
async def test_what_is_read_hashes_to_what_was_written(
    tmp_path: Path, rows: int, columns: int
) -> None:
    table = table_of(rows, columns)
    written = table_hash(table)
    async with arrow_files(tmp_path) as store:
        await store.create("t", table.schema)
        await store.write("t", as_stream(table.to_batches(max_chunksize=10_000)))
        assert await read_hash(store, "t", written.columns) == written
        whole = len(written.whole_blocks)
        rest = Rows(whole * BLOCK_ROWS, rows + 1)
        kept = written.whole_blocks
        assert await read_hash(store, "t", written.columns, kept=kept, span=rest) == written
        fewer = await read_hash(store, "t", written.columns, below_ms=rows - 1)
        assert fewer == table_hash(table.slice(0, rows - 1))


@dataclass
class Reads:
    """A store that keeps how many values each read of it gave."""

    store: SeriesStore
    values: list[int] = field(default_factory=list)

    async def read(self, table: str, columns: list[str], **of: Any) -> AsyncIterator[Any]:
        self.values.append(0)
        async for batch in self.store.read(table, columns, **of):
            self.values[-1] += batch.num_rows * batch.num_columns
            yield batch


async def test_a_wide_table_is_read_back_in_parts_of_16_mib(tmp_path: Path) -> None:
    table = table_of(BLOCK_ROWS + 1, 101)
    async with arrow_files(tmp_path) as store:
        await store.create("t", table.schema)
        await store.write("t", as_stream(table.to_batches()))
        reads = Reads(store)
        written = table_hash(table)
        assert await read_hash(cast("SeriesStore", reads), "t", written.columns) == written
    assert 8 * max(reads.values) <= 16 << 20
    assert sum(reads.values) == table.num_rows * table.num_columns
