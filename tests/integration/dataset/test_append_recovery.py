"""What is left of an append that was interrupted: finished once it has its intent, else nothing."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from services.dataset.app.checking import Checking
from services.dataset.app.datasets import Datasets
from services.dataset.domain.catalogue import AppendUnderWay, Published
from services.dataset.domain.columns import Table
from services.dataset.storage.postgres import PostgresCatalogue
from services.shared.clock import system_clock
from services.shared.errors import Conflict, NotFound, Unavailable
from services.shared.postgres import Pool
from services.shared.series.arrow_files import ArrowFiles
from tests.integration.dataset.client import OHLCV
from tests.integration.dataset.growing import World, read_version
from tests.integration.dataset.inside import Service, append, order, started
from tests.integration.dataset.mortal import Crash, Life, Paused, armed, mortal

WORLD = World(400)
TAIL = WORLD.files((290, 310), (240, 254))


async def imported(service: Service, slug: str) -> Published:
    return await service.run(order(slug), *WORLD.files((0, 300), (0, 244)))


async def states(pool: Pool, slug: str) -> list[str]:
    async with pool.connection() as connection:
        cursor = await connection.execute(
            "SELECT state FROM dataset.imports WHERE slug = %s ORDER BY created_at_ms, state",
            [slug],
        )
        return [row[0] for row in await cursor.fetchall()]


async def check(service: Service, slug: str) -> int:
    """One version or the other, whole, and nothing besides."""
    dataset, _ = await service.datasets.get(slug)
    rows = {1: (300, 244), 2: (310, 254)}[dataset.version]
    bars = await read_version(service, dataset, Table.OHLCV)
    indicators = await read_version(service, dataset, Table.INDICATORS)
    assert bars.drop_columns("index").equals(WORLD.bars.slice(0, rows[0]))
    assert indicators.drop_columns("index").equals(WORLD.indicators.slice(0, rows[1]))
    assert await service.tables_of(slug) == await service.published_tables(slug)
    return dataset.version


async def test_a_crash_at_any_step_leaves_the_old_version_or_the_new_one(
    migrated: Pool, tmp_path: Path
) -> None:
    async with started(migrated, tmp_path) as service:
        whole = await service.run(order("whole"), *WORLD.files((0, 310), (0, 254)))
        await imported(service, "undisturbed")
    life = Life()
    async with started(migrated, tmp_path, **mortal(life)) as service:
        await service.append(append("undisturbed"), *TAIL)
    assert life.taken > 30
    seen = []
    for step in range(life.taken):
        slug = f"crashed_{step}"
        async with started(migrated, tmp_path) as service:
            await imported(service, slug)
        async with started(migrated, tmp_path, **mortal(Life(step))) as dying:
            with pytest.raises(Crash):
                await dying.append(append(slug, key=slug), *TAIL)
        async with started(migrated, tmp_path) as service:
            seen.append(await check(service, slug))
            assert set(await states(migrated, slug)) <= {"CLEANED", "ABANDONED"}
            again = await service.append(append(slug, key=slug), *TAIL)
            assert again.dataset.version == await check(service, slug) == 2
            assert again.dataset.manifest.content_hash == whole.dataset.manifest.content_hash
    assert seen == sorted(seen)  # from the intent on there is only forward
    assert set(seen) == {1, 2}


class Unsteady:
    """A series store of which one method fails while it is away."""

    def __init__(self, series: ArrowFiles, method: str) -> None:
        self._series = series
        self._method = method
        self.is_away = True

    def __getattr__(self, name: str) -> Any:
        if name == self._method and self.is_away:
            raise Unavailable("The series store does not answer.")
        return getattr(self._series, name)


@pytest.mark.parametrize("finisher", ["collector", "next append"])
async def test_an_append_that_fails_after_its_intent_is_finished_in_the_same_process(
    migrated: Pool, tmp_path: Path, finisher: str
) -> None:
    slug = finisher.replace(" ", "_")
    stores: list[Unsteady] = []

    def unsteady(series: ArrowFiles) -> Unsteady:
        stores.append(Unsteady(series, "merge"))
        return stores[-1]

    async with started(migrated, tmp_path, series=unsteady) as service:
        await imported(service, slug)
        with pytest.raises(Unavailable):
            await service.append(append(slug, key=slug), *TAIL)
        assert await states(migrated, slug) == ["CLEANED", "MERGING"]
        assert (await service.datasets.get(slug))[0].version == 1
        with pytest.raises(AppendUnderWay, match="goes first, and could not be finished"):
            await service.append(append(slug, OHLCV), WORLD.bars_file(310, 320))
        await service.collector.collect()
        assert await states(migrated, slug) == ["CLEANED", "MERGING", "ABANDONED"]
        stores[0].is_away = False
        if finisher == "collector":
            await service.collector.collect()
            await service.append(append(slug, key=slug), *TAIL)
        else:
            await service.append(append(slug, key=slug), *TAIL)
        assert await check(service, slug) == 2
        assert "MERGING" not in await states(migrated, slug)


class Untouched:
    """A series store that notes what is asked of it, and never answers."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def __getattr__(self, name: str) -> Any:
        async def unanswered(*_: Any, **__: Any) -> None:
            self.asked.append(name)
            raise Unavailable("The series store does not answer.")

        return unanswered


async def test_a_start_does_not_wait_for_the_series_store(migrated: Pool, tmp_path: Path) -> None:
    async with started(migrated, tmp_path) as service:
        await imported(service, "at_once")
        await trapped("append.intended", service, "at_once")
    store = Untouched()
    async with started(migrated, tmp_path, series=lambda _: store, recover=False) as service:
        await service.collector.recover()
        assert store.asked == []
        assert await states(migrated, "at_once") == ["CLEANED", "MERGING"]


async def test_a_start_without_the_series_store_is_made_good_later(
    migrated: Pool, tmp_path: Path
) -> None:
    async with started(migrated, tmp_path) as service:
        await imported(service, "late_store")
    async with started(migrated, tmp_path, **mortal(life := Life())) as service:
        await trapped("append.intended", service, "late_store")
        life.steps = 0
    stores: list[Unsteady] = []

    def unsteady(series: ArrowFiles) -> Unsteady:
        stores.append(Unsteady(series, "settle"))
        return stores[-1]

    async with started(migrated, tmp_path, series=unsteady) as service:
        assert (await service.datasets.get("late_store"))[0].version == 1
        stores[0].is_away = False
        resumed = asyncio.Event()

        async def note(name: str) -> None:
            if name == "append.dropped":
                resumed.set()

        with armed(note):
            async with service.collector.collecting(3600):
                await resumed.wait()
        await service.collector.collect()
        assert await check(service, "late_store") == 2


async def trapped(place: str, service: Service, slug: str) -> None:
    """An append whose process dies at a failpoint."""

    async def die(name: str) -> None:
        if name == place:
            raise Crash

    with armed(die), pytest.raises(Crash):
        await service.append(append(slug), *TAIL)


@pytest.mark.parametrize(
    "place",
    [
        "append.received",
        "append.spooled",
        "append.reserved",
        "append.created",
        "append.written",
        "append.settled",
        "append.verified",
        "append.intended",
        "append.merged",
        "append.merge_settled",
        "append.reread",
        "append.published",
        "append.dropped",
    ],
)
async def test_a_process_that_was_paused_and_overtaken_changes_nothing_when_it_wakes(
    migrated: Pool, tmp_path: Path, place: str
) -> None:
    slug = place.replace(".", "_")
    pause = Paused(place)
    async with started(migrated, tmp_path) as service:
        await imported(service, slug)
        with armed(pause):
            zombie = asyncio.create_task(service.append(append(slug), *TAIL))
            await pause.reached.wait()
            other = service.beside()
            await other.collector.recover()
            await other.append(append(slug), *TAIL)
            await other.append(append(slug, OHLCV), WORLD.bars_file(310, 320))
            before = (await service.datasets.get(slug))[0]
            pause.may_go_on.set()
            with suppress(Conflict, NotFound, FileNotFoundError):
                await zombie
            await other.collector.collect()
        now = (await service.datasets.get(slug))[0]
        assert now == before
        assert (now.version, now.manifest.ohlcv_rows) == (3, 320)
        bars = await read_version(service, now, Table.OHLCV)
        assert bars.drop_columns("index").equals(WORLD.bars.slice(0, 320))
        assert await service.tables_of(slug) == await service.published_tables(slug)
        assert set(await states(migrated, slug)) <= {"CLEANED", "ABANDONED", "REJECTED"}


@pytest.mark.parametrize("place", ["append.intended", "append.merged", "append.reread"])
async def test_an_append_that_another_process_published_is_answered_as_published(
    migrated: Pool, tmp_path: Path, place: str
) -> None:
    slug = f"answered_{place.replace('.', '_')}"
    pause = Paused(place)
    async with started(migrated, tmp_path) as service:
        await imported(service, slug)
        with armed(pause):
            append_ = asyncio.create_task(service.append(append(slug), *TAIL))
            await pause.reached.wait()
            await service.beside().collector.collect()
            pause.may_go_on.set()
            published = await append_
        assert published.dataset == (await service.datasets.get(slug))[0]
        assert published.report.counts.ohlcv_rows == 10
        assert await check(service, slug) == 2


async def test_two_appends_cannot_both_have_their_intent(migrated: Pool, tmp_path: Path) -> None:
    pause = Paused("append.intended")
    async with started(migrated, tmp_path) as service:
        await imported(service, "one_intent")
        with armed(pause):
            first = asyncio.create_task(service.append(append("one_intent"), *TAIL))
            await pause.reached.wait()
            catalogue = PostgresCatalogue(migrated, system_clock)
            async with catalogue.transaction() as transaction:
                (intent,) = await transaction.intents("one_intent")
                with pytest.raises(AppendUnderWay, match="is being merged"):
                    await transaction.intend(intent.publication)
            pause.may_go_on.set()
            assert (await first).dataset.version == 2


async def test_a_delete_ends_an_append_that_has_its_intent(migrated: Pool, tmp_path: Path) -> None:
    async with started(migrated, tmp_path) as service:
        await imported(service, "deleted")
        await trapped("append.intended", service, "deleted")
        await service.datasets.delete("deleted", force=False)
        await service.collector.collect()
        assert await service.tables_of("deleted") == set()
        assert set(await states(migrated, "deleted")) == {"CLEANED", "ABANDONED"}
        again = await imported(service, "deleted")
        assert again.dataset.version == 2


async def test_a_delete_while_the_series_store_is_away_is_done_and_tidied_later(
    migrated: Pool, tmp_path: Path
) -> None:
    async with started(migrated, tmp_path) as service:
        await imported(service, "tidied")
        away = Unsteady(service.series, "drop")
        await Datasets(catalogue=service.catalogue, series=away).delete("tidied", force=False)
        with pytest.raises(NotFound):
            await service.datasets.get("tidied")
        assert len(await service.tables_of("tidied")) == 2
        await service.collector.collect()
        assert await service.tables_of("tidied") == set()


async def test_a_new_version_ends_an_append_that_cannot_be_finished(
    migrated: Pool, tmp_path: Path
) -> None:
    async with started(migrated, tmp_path) as service:
        first = (await imported(service, "superseded")).dataset
        await trapped("append.intended", service, "superseded")
        whole = WORLD.files((0, 310), (0, 254))
        assert (
            await service.run(order("superseded", first.dataset_id), *whole)
        ).dataset.version == 2
        await service.collector.collect()
        assert await check(service, "superseded") == 2
        bars = await read_version(service, first, Table.OHLCV)
        assert bars.drop_columns("index").equals(WORLD.bars.slice(0, 300))


async def test_rows_of_an_append_that_was_merged_and_overtaken_are_no_damage(
    migrated: Pool, tmp_path: Path
) -> None:
    async with started(migrated, tmp_path) as service:
        first = (await imported(service, "leftover")).dataset
        await trapped("append.merged", service, "leftover")
        assert await findings(service, "leftover") == set()
        whole = WORLD.files((0, 310), (0, 254))
        await service.run(order("leftover", first.dataset_id), *whole)
        await service.collector.collect()
        assert await findings(service, "leftover", later_ms=24 * 3600 * 1000) == set()
        table = first.manifest.ohlcv_measurement
        bounds = await service.series.bounds(table)
        assert bounds is not None
        assert bounds.rows == 310
        await service.series.drop(table)
        await service.series.create(table, WORLD.bars.schema)
        assert await findings(service, "leftover") == {("ROW_COUNT", table)}


async def findings(service: Service, slug: str, *, later_ms: int = 0) -> set[tuple[str, str]]:
    checking = Checking(
        catalogue=service.catalogue,
        series=service.series,
        clock=lambda: system_clock() + later_ms,
    )
    found = (await checking.run()).findings
    return {(f.reason, f.subject) for f in found if f.subject.startswith(slug)}


async def test_an_attempt_that_could_not_be_undone_is_ended_by_the_collector(
    migrated: Pool, tmp_path: Path
) -> None:
    async with started(migrated, tmp_path, **mortal(life := Life())) as service:
        await imported(service, "lost")

        async def die(name: str) -> None:
            if name == "append.written":
                life.steps = 0  # neither store answers from here on
                raise Unavailable("The series store does not answer.")

        with armed(die), pytest.raises(Crash):
            await service.append(append("lost"), *TAIL)
        assert await states(migrated, "lost") == ["CLEANED", "LOADING"]
        life.steps = None
        await service.collector.collect()
        assert set(await states(migrated, "lost")) == {"CLEANED", "ABANDONED"}
        assert await check(service, "lost") == 1
