"""An append trusts no store: not with its own rows, nor with those it builds on."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from services.shared.errors import DataLoss
from services.shared.postgres import Pool
from services.shared.series import TIME
from services.shared.series.arrow_files import ArrowFiles
from tests.integration.dataset.inside import append, order, started
from tests.integration.dataset.test_append_recovery import WORLD, states

TAIL = WORLD.files((300, 310), (244, 254))

Change = Callable[[pa.RecordBatch], pa.RecordBatch]


def without_last_row(batch: pa.RecordBatch) -> pa.RecordBatch:
    return batch.slice(0, batch.num_rows - 1)


def with_another_value(batch: pa.RecordBatch) -> pa.RecordBatch:
    last = batch.num_columns - 1
    values = batch.column(last).to_numpy().copy()
    values[-1] += 1e-12
    return batch.set_column(last, batch.schema.field(last), pa.array(values))


async def altered(
    batches: AsyncIterable[pa.RecordBatch], change: Change
) -> AsyncGenerator[pa.RecordBatch]:
    async for batch in batches:
        yield change(batch)


class Lossy:
    """From a moment on one method does something else than it should."""

    def __init__(self, series: ArrowFiles, method: str, change: Change) -> None:
        self._series = series
        self._method = method
        self._change = change
        self.is_damaged = False

    def __getattr__(self, name: str) -> Any:
        is_meant = self.is_damaged and name == self._method
        return getattr(self, f"_{name}") if is_meant else getattr(self._series, name)

    async def _write(self, table: str, batches: AsyncIterator[pa.RecordBatch]) -> None:
        await self._series.write(table, altered(batches, self._change))

    async def _merge(self, staged: str, into: str) -> None:
        names = [name for name in (await self._series.schema(staged)).names if name != "index"]
        rows = self._series.read(staged, [TIME, *names[1:]])
        await self._series.write(into, altered(rows, self._change))

    def _read(self, table: str, *args: Any, **kwargs: Any) -> AsyncGenerator[pa.RecordBatch]:
        """Of what is published, not of what is staged."""
        rows = self._series.read(table, *args, **kwargs)
        return altered(rows, self._change) if "_v1_" in table else rows


@pytest.mark.parametrize(
    ("method", "change", "told"),
    [
        ("write", without_last_row, "10 rows of hash [0-9a-f]+ were written"),
        ("write", with_another_value, "10 rows of hash [0-9a-f]+ were written"),
        ("merge", without_last_row, "310 rows of hash [0-9a-f]+ were written"),
        ("merge", with_another_value, "310 rows of hash [0-9a-f]+ were written"),
        ("read", with_another_value, "is not as it was published from row 0 on"),
    ],
)
async def test_rows_that_come_back_otherwise_are_not_appended(
    migrated: Pool, tmp_path: Path, method: str, change: Change, told: str
) -> None:
    slug, stores = f"{method}_{change.__name__}", list[Lossy]()

    def lossy(series: ArrowFiles) -> Lossy:
        stores.append(Lossy(series, method, change))
        return stores[0]

    async with started(migrated, tmp_path, series=lossy) as service:
        await service.run(order(slug), *WORLD.files((0, 300), (0, 244)))
        stores[0].is_damaged = True
        with pytest.raises(DataLoss, match=told):
            await service.append(append(slug), *TAIL)
        assert (await service.datasets.get(slug))[0].version == 1
        ended = "MERGING" if method == "merge" else "ABANDONED"
        assert await states(migrated, slug) == ["CLEANED", ended]
        if ended == "ABANDONED":
            stores[0].is_damaged = False
            assert (await service.append(append(slug), *TAIL)).dataset.version == 2
