"""The publishing protocol on the real QuestDB."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from services.dataset.domain.catalogue import Counts
from services.dataset.domain.columns import Table
from services.dataset.domain.overlap import RowsDiffer
from services.shared.errors import Conflict, NotFound
from services.shared.postgres import Pool
from services.shared.series.questdb import questdb_store
from tests.integration.dataset.client import OHLCV
from tests.integration.dataset.growing import World, changed, read_version, written
from tests.integration.dataset.inside import Service, adoption, append, order, started
from tests.integration.dataset.mortal import Crash, Paused, armed

WORLD = World(400)
TAIL = WORLD.files((290, 310), (240, 254))


@pytest.fixture
def slug() -> str:
    """The server's tables outlive a module's database."""
    return f"q{uuid4().hex[:12]}"


@asynccontextmanager
async def on(url: str, pool: Pool, folder: Path) -> AsyncIterator[Service]:
    def store(_: Path) -> AbstractAsyncContextManager[Any]:
        return questdb_store(url)

    async with started(pool, folder, store=store) as service:
        yield service


async def imported(service: Service, slug: str) -> None:
    await service.run(order(slug), *WORLD.files((0, 300), (0, 244)))


async def check(service: Service, slug: str, bars: int, indicators: int) -> None:
    dataset, _ = await service.datasets.get(slug)
    there = await read_version(service, dataset, Table.OHLCV)
    assert there.drop_columns("index").to_pydict() == WORLD.bars.slice(0, bars).to_pydict()
    there = await read_version(service, dataset, Table.INDICATORS)
    expected = WORLD.indicators.slice(0, indicators)
    assert there.drop_columns("index").to_pydict() == expected.to_pydict()
    assert await service.tables_of(slug) == await service.published_tables(slug)


async def test_an_append_gives_the_rows_and_the_hash_of_one_import(
    migrated: Pool, tmp_path: Path, questdb_server: str, slug: str
) -> None:
    async with started(migrated, tmp_path / "arrow") as service:
        whole = await service.run(order(f"{slug}_whole"), *WORLD.files((0, 310), (0, 254)))
    async with on(questdb_server, migrated, tmp_path) as service:
        await imported(service, slug)
        first, _ = await service.datasets.get(slug)
        grown = await service.append(append(slug), *TAIL)
        assert grown.report.counts == Counts(
            ohlcv_rows=10, indicator_rows=10, repeated_ohlcv_rows=10, repeated_indicator_rows=4
        )
        assert grown.dataset.manifest.content_hash == whole.dataset.manifest.content_hash
        await check(service, slug, 310, 254)
        before = await read_version(service, first, Table.OHLCV)
        assert before.num_rows == 300
        assert (await service.append(append(slug), *TAIL)).dataset == grown.dataset
        other = changed(WORLD.bars.slice(305, 10), 1, "volume", 1e9)
        with pytest.raises(RowsDiffer, match=r"volume at .* is 1000000000\.0"):
            await service.append(append(slug, OHLCV), written(other))


@pytest.mark.parametrize("place", ["append.verified", "append.intended", "append.merged"])
async def test_an_interrupted_append_is_finished_or_leaves_nothing(
    migrated: Pool, tmp_path: Path, questdb_server: str, slug: str, place: str
) -> None:
    async def die(name: str) -> None:
        if name == place:
            raise Crash

    async with on(questdb_server, migrated, tmp_path) as service:
        await imported(service, slug)
        with armed(die), pytest.raises(Crash):
            await service.append(append(slug), *TAIL)
    async with on(questdb_server, migrated, tmp_path) as service:
        await check(service, slug, *((300, 244) if place == "append.verified" else (310, 254)))


@pytest.mark.parametrize("place", ["append.created", "append.intended", "append.merged"])
async def test_a_paused_process_changes_nothing_when_it_wakes(
    migrated: Pool, tmp_path: Path, questdb_server: str, slug: str, place: str
) -> None:
    pause = Paused(place)
    async with (
        on(questdb_server, migrated, tmp_path / "paused") as service,
        on(questdb_server, migrated, tmp_path / "other") as other,
    ):
        await imported(service, slug)
        with armed(pause):
            zombie = asyncio.create_task(service.append(append(slug), *TAIL))
            await pause.reached.wait()
            await other.collector.recover()
            await other.append(append(slug), *TAIL)
            await other.append(append(slug, OHLCV), WORLD.bars_file(310, 320))
            pause.may_go_on.set()
            with suppress(Conflict, NotFound):
                await zombie
        await other.collector.collect()
        await check(service, slug, 320, 254)


async def test_tables_of_the_server_are_adopted(
    migrated: Pool, tmp_path: Path, questdb_server: str, slug: str
) -> None:
    async with on(questdb_server, migrated, tmp_path) as service:
        await imported(service, slug)
        manifest = (await service.datasets.get(slug))[0].manifest
        assert manifest.indicator_measurement
        tables = manifest.ohlcv_measurement, manifest.indicator_measurement
        adopted = await service.adoptions.run(adoption(f"{slug}_copy", *tables))
        assert adopted.dataset.manifest.content_hash == manifest.content_hash
