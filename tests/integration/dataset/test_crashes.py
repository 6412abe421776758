"""A crash at any step of an import leaves the old version or the new one, and a retry works."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from services.dataset.app.datasets import Datasets
from services.dataset.storage.postgres import PostgresCatalogue
from services.shared.clock import system_clock
from services.shared.postgres import Pool
from services.shared.series.arrow_files import ArrowFiles
from tests.integration.dataset.inside import files, order, started
from tests.integration.dataset.mortal import Crash, Life, MortalSeries, mortal


async def count_steps(pool: Pool, folder: Path) -> int:
    life = Life()
    async with started(pool, folder, **mortal(life)) as service:
        await service.run(order("undisturbed"), *files(1))
    return life.taken


async def test_a_crash_at_any_step_leaves_the_old_version_or_the_new_one(
    migrated: Pool, tmp_path: Path
) -> None:
    seen = set()
    steps = await count_steps(migrated, tmp_path)
    assert steps > 20
    for step in range(steps):
        slug = f"crashed_{step}"
        async with started(migrated, tmp_path) as service:
            first = (await service.run(order(slug), *files(1))).dataset
        second = order(slug, first.dataset_id, key=f"second of {slug}")
        async with started(migrated, tmp_path, **mortal(Life(step))) as dying:
            with pytest.raises(Crash):
                await dying.run(second, *files(2))
        async with started(migrated, tmp_path) as service:
            now, versions = await service.datasets.get(slug)
            seen.add(now.version)
            assert list(versions) == list(range(1, now.version + 1))
            assert await service.tables_of(slug) == await service.published_tables(slug)
            again = await service.run(second, *files(2))
            assert again.dataset.version == 2
            assert again.dataset.manifest.content_hash != first.manifest.content_hash
            assert await service.tables_of(slug) == await service.published_tables(slug)
    assert seen == {1, 2}


async def test_a_crash_in_a_delete_leaves_no_tables_after_the_next_start(
    migrated: Pool, tmp_path: Path
) -> None:
    async with started(migrated, tmp_path) as service:
        await service.run(order("half_deleted"), *files(1))
        dying = Datasets(
            catalogue=PostgresCatalogue(migrated, system_clock),
            series=MortalSeries(Life(0), service.series),
        )
        with pytest.raises(Crash):
            await dying.delete("half_deleted", force=False)
        assert len(await service.tables_of("half_deleted")) == 2
    async with started(migrated, tmp_path) as service:
        assert await service.tables_of("half_deleted") == set()


class SlowSeries:
    """Its drops wait."""

    def __init__(self, series: ArrowFiles) -> None:
        self._series = series
        self.dropping = asyncio.Event()
        self.may_drop = asyncio.Event()

    async def drop(self, table: str) -> None:
        self.dropping.set()
        await self.may_drop.wait()
        await self._series.drop(table)


async def test_a_delete_whose_caller_gives_up_still_drops_the_tables(
    migrated: Pool, tmp_path: Path
) -> None:
    async with started(migrated, tmp_path) as service:
        await service.run(order("given_up"), *files(1))
        slow: Any = SlowSeries(service.series)
        datasets = Datasets(catalogue=PostgresCatalogue(migrated, system_clock), series=slow)
        call = asyncio.create_task(datasets.delete("given_up", force=False))
        await slow.dropping.wait()
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        slow.may_drop.set()
        await datasets.drained()
        assert await service.tables_of("given_up") == set()


async def test_uploads_of_a_crashed_process_are_gone_after_the_next_start(
    migrated: Pool, tmp_path: Path
) -> None:
    left = tmp_path / "spool" / "abandoned" / "part_0"
    left.parent.mkdir(parents=True)
    left.write_bytes(b"half a file")
    async with started(migrated, tmp_path):
        assert list((tmp_path / "spool").iterdir()) == []
