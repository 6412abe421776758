"""What stands between written rows and a published version."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from services.dataset.app.order import PartBytes
from services.dataset.app.places import TooManyImports
from services.dataset.domain.catalogue import KeySpent
from services.dataset.domain.updates import Update
from services.shared.errors import AlreadyExists, DataLoss, NotFound, Unavailable
from services.shared.postgres import Pool
from services.shared.series.arrow_files import ArrowFiles
from tests.integration.dataset.inside import Service, files, order, started
from tests.integration.dataset.mortal import Paused, armed

DAY_MS = 24 * 3600 * 1000


class LossySeries:
    """Writes something else than it was given."""

    def __init__(self, series: ArrowFiles, change: str) -> None:
        self._series = series
        self._change = change

    def __getattr__(self, name: str) -> Any:
        return getattr(self._series, name)

    async def write(self, table: str, batches: AsyncIterable[pa.RecordBatch]) -> None:
        await self._series.write(table, self._changed(batches))

    async def _changed(self, batches: AsyncIterable[pa.RecordBatch]) -> AsyncIterator[Any]:
        async for batch in batches:
            if self._change == "row":
                yield batch.slice(0, batch.num_rows - 1)
            else:
                last = batch.num_columns - 1
                values = batch.column(last).to_numpy().copy()
                values[7] += 1e-12
                yield batch.set_column(last, batch.schema.field(last), pa.array(values))


@pytest.mark.parametrize("change", ["row", "value"])
async def test_rows_that_come_back_otherwise_are_not_published(
    migrated: Pool, tmp_path: Path, change: str
) -> None:
    slug = f"lossy_{change}"
    async with started(migrated, tmp_path, series=lambda s: LossySeries(s, change)) as lossy:
        with pytest.raises(DataLoss, match="300 rows of hash"):
            await lossy.run(order(slug), *files(1))
        await nothing_is_there(lossy, slug)


class FailingSeries:
    def __init__(self, series: ArrowFiles) -> None:
        self._series = series

    def __getattr__(self, name: str) -> Any:
        return getattr(self._series, name)

    async def settle(self, table: str) -> None:
        raise Unavailable("The series store does not answer.")


async def test_a_store_that_goes_away_leaves_nothing_and_does_not_use_the_key_up(
    migrated: Pool, tmp_path: Path
) -> None:
    async with started(migrated, tmp_path, series=FailingSeries) as failing:
        with pytest.raises(Unavailable):
            await failing.run(order("unsettled", key="unsettled"), *files(1))
        await nothing_is_there(failing, "unsettled")
    async with started(migrated, tmp_path) as service:
        published = await service.run(order("unsettled", key="unsettled"), *files(1))
        assert published.dataset.manifest.ohlcv_measurement == "unsettled_v1_ohlcv_a2"


async def nothing_is_there(service: Service, slug: str) -> None:
    with pytest.raises(NotFound):
        await service.datasets.get(slug)
    assert await service.tables_of(slug) == set()


async def test_a_key_is_good_for_a_day(migrated: Pool, tmp_path: Path) -> None:
    now_ms = [1_700_000_000_000]
    async with started(migrated, tmp_path, clock=lambda: now_ms[0]) as service:
        first = await service.run(order("daily", key="daily"), *files(1))
        now_ms[0] += DAY_MS - 1
        assert await service.run(order("daily", key="daily"), *files(1)) == first
        now_ms[0] += 1
        with pytest.raises(AlreadyExists, match="give its dataset_id"):
            await service.run(order("daily", key="daily"), *files(1))
        other = await service.run(order("next_day", key="daily"), *files(2))
        assert await service.run(order("next_day", key="daily"), *files(2)) == other


async def test_a_key_whose_dataset_was_deleted_is_refused_by_name_before_the_upload(
    migrated: Pool, tmp_path: Path
) -> None:
    async with started(migrated, tmp_path) as service:
        made = (await service.run(order("spent", key="spent"), *files(1))).dataset
        await service.datasets.delete("spent", force=False)
        said = f"'spent' belongs to dataset spent \\({made.dataset_id}\\), which was deleted since"
        for sent in (files(1), ()):
            with pytest.raises(KeySpent, match=said):
                await service.run(order("spent", key="spent"), *sent)
        again = await service.run(order("spent", key="unspent"), *files(1))
        assert again.dataset.dataset_id != made.dataset_id


async def test_a_clock_that_steps_back_stops_neither_versions_nor_deletes(
    migrated: Pool, tmp_path: Path
) -> None:
    now_ms = [1_700_000_000_000]
    async with started(migrated, tmp_path, clock=lambda: now_ms[0]) as service:
        first = (await service.run(order("stepped"), *files(1))).dataset
        now_ms[0] -= 5_000
        second = (await service.run(order("stepped", first.dataset_id), *files(2))).dataset
        assert (second.version, second.updated_at_ms) == (2, first.created_at_ms)
        await service.datasets.delete("stepped", force=False)
        await nothing_is_there(service, "stepped")


@pytest.mark.parametrize(("place", "is_there"), [("spooled", True), ("reserved", False)])
async def test_an_upload_leaves_the_disk_once_it_is_read(
    migrated: Pool, tmp_path: Path, place: str, is_there: bool
) -> None:
    pause = Paused(f"import.{place}")
    async with started(migrated, tmp_path) as service:
        with armed(pause):
            importing = asyncio.create_task(service.run(order(f"left_{place}"), *files(1)))
            await pause.reached.wait()
            names = {path.name for path in (tmp_path / "spool").rglob("*") if path.is_file()}
            pause.may_go_on.set()
            await importing
    uploads = {name for name in names if name.startswith("part")}
    assert bool(uploads) is is_there, names


async def test_an_update_while_an_import_is_loading_is_not_undone(
    migrated: Pool, tmp_path: Path
) -> None:
    pause = Paused("import.verified")
    async with started(migrated, tmp_path) as service:
        first = (await service.run(order("said"), *files(1))).dataset
        said = replace(order("said", first.dataset_id), symbol="", granularity="", metadata={})
        with armed(pause):
            second = asyncio.create_task(service.run(replace(said, source="file"), *files(2)))
            await pause.reached.wait()
            update = Update(symbol="NEW", granularity="60min", source="desk", metadata={"a": "b"})
            await service.datasets.update("said", update)
            pause.may_go_on.set()
            published = (await second).dataset
        assert (published.version, published.symbol, published.granularity) == (2, "NEW", "60min")
        assert (published.source, published.metadata) == ("file", {"a": "b"})
        assert published == (await service.datasets.get("said"))[0]


async def test_imports_that_wait_are_bounded_and_a_place_comes_free(
    migrated: Pool, tmp_path: Path
) -> None:
    async with started(migrated, tmp_path, places=2) as service:
        uploading, may_end = asyncio.Event(), asyncio.Event()

        async def slow(seed: int) -> AsyncIterator[PartBytes]:
            for part, data in enumerate(files(seed)):
                yield PartBytes(part, data)
            uploading.set()
            await may_end.wait()

        first = asyncio.create_task(service.imports.run(order("first_place"), slow(1)))
        await uploading.wait()
        uploading.clear()
        second = asyncio.create_task(service.imports.run(order("second_place"), slow(2)))
        await uploading.wait()
        with pytest.raises(TooManyImports, match="2 uploads are under way"):
            await service.run(order("no_place"), *files(3))
        assert len(list((tmp_path / "spool").iterdir())) == 2
        second.cancel()
        with pytest.raises(asyncio.CancelledError):
            await second
        may_end.set()
        assert (await service.run(order("no_place"), *files(3))).dataset.version == 1
        assert (await first).dataset.version == 1
