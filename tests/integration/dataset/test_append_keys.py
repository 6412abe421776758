"""Keys of appends: taken with the intent, so that nothing is refused once it cannot be undone."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from services.dataset.domain.catalogue import KeyReused
from services.shared.postgres import Pool
from tests.integration.dataset.inside import append, order, started
from tests.integration.dataset.mortal import Crash, Paused, armed
from tests.integration.dataset.test_append_recovery import TAIL, WORLD, imported, states

DAY_MS = 24 * 3600 * 1000


@pytest.mark.parametrize("taker", ["append", "import"])
async def test_an_append_whose_key_is_taken_meanwhile_is_refused_and_leaves_nothing(
    migrated: Pool, tmp_path: Path, taker: str
) -> None:
    slug, pause = f"late_{taker}", Paused("append.verified")
    async with started(migrated, tmp_path) as service:
        await imported(service, slug)
        await imported(service, f"taken_by_{taker}")
        with armed(pause):
            late = asyncio.create_task(service.append(append(slug, key=taker), *TAIL))
            await pause.reached.wait()
            other = service.beside()
            if taker == "append":
                await other.append(append("taken_by_append", key=taker), *TAIL)
            else:
                await other.run(order("another", key=taker), *WORLD.files((0, 300), (0, 244)))
            pause.may_go_on.set()
            with pytest.raises(KeyReused):
                await late
        assert await states(migrated, slug) == ["CLEANED", "REJECTED"]
        assert (await service.datasets.get(slug))[0].version == 1
        assert await service.tables_of(slug) == await service.published_tables(slug)
        assert (await service.append(append(slug), *TAIL)).dataset.version == 2


async def die_when_intended(name: str) -> None:
    if name == "append.intended":
        raise Crash


async def test_the_key_of_an_intent_is_good_until_it_is_published_and_a_day_longer(
    migrated: Pool, tmp_path: Path
) -> None:
    now_ms = [1_700_000_000_000]
    async with started(migrated, tmp_path, clock=lambda: now_ms[0]) as service:
        await imported(service, "slow")
        await imported(service, "quick")
        with armed(die_when_intended), pytest.raises(Crash):
            await service.append(append("slow", key="slow"), *TAIL)
        now_ms[0] += 2 * DAY_MS
        with pytest.raises(KeyReused):
            await service.append(append("quick", key="slow"), *TAIL)
        await service.collector.collect()
        now_ms[0] += DAY_MS - 1
        again = await service.append(append("slow", key="slow"), *TAIL)
        assert (again.dataset.version, again.report.counts.ohlcv_rows) == (2, 10)
        now_ms[0] += 1
        await service.collector.collect()
        assert (await service.append(append("quick", key="slow"), *TAIL)).dataset.version == 2


@pytest.mark.parametrize("end", ["import", "delete"])
async def test_the_key_of_an_intent_that_came_to_nothing_is_free_again(
    migrated: Pool, tmp_path: Path, end: str
) -> None:
    slug = f"ended_by_{end}"
    async with started(migrated, tmp_path) as service:
        first = (await imported(service, slug)).dataset
        with armed(die_when_intended), pytest.raises(Crash):
            await service.append(append(slug, key=slug), *TAIL)
        if end == "import":
            await service.run(order(slug, first.dataset_id), *WORLD.files((0, 305), (0, 249)))
        else:
            await service.datasets.delete(slug, force=False)
            await imported(service, slug)
        again = await service.append(append(slug, key=slug), *TAIL)
        assert (again.dataset.version, again.dataset.manifest.ohlcv_rows) == (3, 310)
