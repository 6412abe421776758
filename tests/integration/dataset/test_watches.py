"""Watching datasets: replay, live, and nothing missed whoever publishes how."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from psycopg.types.json import Jsonb
from stage1.dataset.v1 import dataset_service_pb2 as pb

from services.dataset.app.watching import MAX_WATCHES, Bell, TooManyWatches, Watches
from services.dataset.domain.events import KEPT_MS, Event, EventKind, Heartbeat
from services.dataset.storage.postgres import PostgresCatalogue
from services.shared import postgres
from services.shared.clock import Clock, system_clock
from services.shared.errors import Conflict, InvalidRequest, NotFound
from services.shared.migrate import migrate
from services.shared.postgres import Pool
from services.shared.rpc.status import refusals
from tests.integration.dataset.client import OHLCV, Client, bar_file, dataset_service, header_of
from tests.unit.dataset.bars import hourly

Kind = pb.WatchDatasetsResponse


@pytest.fixture(scope="module")
async def own_pool(dsn: str) -> AsyncIterator[Pool]:
    """Many publishers at once, each on a connection of its own."""
    async with postgres.pool(dsn, size=12) as pool:
        await migrate(pool, schema="dataset", package="services.dataset.storage")
        yield pool


def watches_of(pool: Pool, *, seconds: float = 0.02, clock: Clock = system_clock) -> Watches:
    """As in another process: no bell of this one is ever rung."""
    catalogue = PostgresCatalogue(pool, clock)
    return Watches(catalogue=catalogue, bell=Bell(), clock=clock, heartbeat_seconds=seconds)


async def dataset_row(pool: Pool) -> UUID:
    """A dataset as far as events need one."""
    dataset_id, slug = uuid4(), f"row_{uuid4().hex[:20]}"
    async with pool.connection() as connection:
        await connection.execute("INSERT INTO dataset.slugs (slug) VALUES (%s)", [slug])
        await connection.execute(
            "INSERT INTO dataset.datasets (dataset_id, slug, symbol, granularity, source, metadata,"
            " version, created_at_ms, updated_at_ms) VALUES (%s, %s, '', '', '', %s, 1, 0, 0)",
            [dataset_id, slug, Jsonb({})],
        )
    return dataset_id


async def note(pool: Pool, dataset_id: UUID, *, clock: Clock = system_clock) -> None:
    async with PostgresCatalogue(pool, clock).transaction() as catalogue:
        await catalogue.note(EventKind.UPDATED, dataset_id)


async def last_event(pool: Pool) -> int:
    async with PostgresCatalogue(pool, system_clock).transaction() as catalogue:
        return await catalogue.last_event()


class TestOverTheWire:
    async def events(self, client: Client, count: int, **asked: str) -> list[Kind]:
        """The first events of a watch, and no signs of life."""
        found: list[Kind] = []
        call = client.stub.WatchDatasets(pb.WatchDatasetsRequest(**asked))
        with refusals():
            async for event in call:
                found += [event] if event.kind else []
                if len(found) == count:
                    call.cancel()
                    break
        return found

    async def publish(self, client: Client, slug: str, dataset_id: str = "") -> str:
        header = header_of(slug, OHLCV)
        header.dataset_id = dataset_id
        answer = await client.publish(header, bar_file(hourly(30), seed=len(dataset_id)))
        return answer.dataset.dataset_id

    async def test_what_happened_is_replayed_in_order(self, client: Client) -> None:
        dataset_id = await self.publish(client, "replayed")
        await self.publish(client, "replayed", dataset_id)
        update = pb.UpdateDatasetRequest(dataset="replayed", source="elsewhere")
        await client.ask(client.stub.UpdateDataset(update))
        await client.ask(client.stub.UpdateDataset(update))  # says nothing new
        await client.ask(client.stub.DeleteDataset(pb.DeleteDatasetRequest(dataset="replayed")))
        found = await self.events(client, 4, cursor="0", dataset="replayed")
        assert [(event.kind, event.version) for event in found] == [
            (Kind.KIND_PUBLISHED, 1),
            (Kind.KIND_PUBLISHED, 2),
            (Kind.KIND_UPDATED, 2),
            (Kind.KIND_DELETED, 2),
        ]
        assert {(event.dataset_id, event.dataset_slug) for event in found} == {
            (dataset_id, "replayed")
        }
        assert await self.events(client, 3, cursor=found[0].cursor, dataset=dataset_id) == found[1:]

    async def test_a_watch_from_now_on_says_at_once_where_that_is(self, client: Client) -> None:
        await self.publish(client, "before_now")
        call = client.stub.WatchDatasets(pb.WatchDatasetsRequest())
        first = await anext(aiter(call))
        assert first.kind == Kind.KIND_UNSPECIFIED
        await self.publish(client, "after_now")
        assert (await anext(aiter(call))).dataset_slug == "after_now"
        call.cancel()
        (resumed,) = await self.events(client, 1, cursor=first.cursor)
        assert resumed.dataset_slug == "after_now"

    async def test_what_another_process_publishes_comes_too(
        self, client: Client, dsn: str, tmp_path: Path
    ) -> None:
        pool = postgres.pool(dsn)
        async with (
            pool,
            dataset_service(dsn, tmp_path) as other,
            aclosing(watches_of(pool).follow(None, None)) as followed,
        ):
            assert isinstance(await anext(followed), Heartbeat)
            await self.publish(other, "elsewhere")
            while isinstance(event := await anext(followed), Heartbeat):
                pass
            assert event.slug == "elsewhere"

    async def test_a_refused_import_is_no_event(self, client: Client) -> None:
        call = client.stub.WatchDatasets(pb.WatchDatasetsRequest())
        await anext(aiter(call))
        with pytest.raises(InvalidRequest):
            await client.publish(header_of("never", OHLCV), b"nonsense")
        await self.publish(client, "next_one")
        assert (await anext(aiter(call))).dataset_slug == "next_one"
        call.cancel()

    async def test_a_dataset_that_never_was_is_not_watched(self, client: Client) -> None:
        with pytest.raises(NotFound, match="never_was, and never was"):
            await self.events(client, 1, dataset="never_was")

    @pytest.mark.parametrize("cursor", ["x", "-1", "1.5", "9" * 30, "999999999"])
    async def test_a_cursor_that_was_not_given_out_is_refused(
        self, client: Client, cursor: str
    ) -> None:
        with pytest.raises(InvalidRequest) as caught:
            await self.events(client, 1, cursor=cursor)
        assert [violation.field for violation in caught.value.violations] == ["cursor"]


@given(
    publishers=st.lists(st.integers(1, 4), min_size=2, max_size=8),
    pauses=st.lists(st.sampled_from([0.0, 0.001, 0.004]), min_size=40, max_size=40),
    breaks=st.sets(st.integers(1, 20), max_size=4),
)
@settings(
    max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
async def test_a_watcher_that_comes_and_goes_misses_nothing(
    own_pool: Pool, publishers: list[int], pauses: list[float], breaks: set[int]
) -> None:
    """Publishers hold their transactions open for different times, some are rolled back; the
    watcher is cut off after some events and comes back with its cursor."""
    began = await last_event(own_pool)
    subjects = [await dataset_row(own_pool) for _ in publishers]
    resting = iter(pauses * 10)

    async def publish(subject: UUID, count: int) -> None:
        catalogue = PostgresCatalogue(own_pool, system_clock)
        for i in range(count):
            try:
                async with catalogue.transaction() as transaction:
                    await asyncio.sleep(next(resting))
                    await transaction.note(EventKind.UPDATED, subject)
                    await asyncio.sleep(next(resting))
                    if i % 3 == 2:
                        raise ZeroDivisionError
            except ZeroDivisionError:
                pass

    kept = {s: n - n // 3 for s, n in zip(subjects, publishers, strict=True)}

    async def watch() -> list[Event]:
        found: list[Event] = []
        while len(found) < sum(kept.values()):
            after = found[-1].sequence if found else began
            async with aclosing(watches_of(own_pool).follow(after, None)) as followed:
                async for event in followed:
                    if isinstance(event, Event):
                        found.append(event)
                        if len(found) in breaks or len(found) == sum(kept.values()):
                            break
        return found

    async with asyncio.timeout(60):
        watched = asyncio.create_task(watch())
        await asyncio.gather(*map(publish, subjects, publishers))
        found = await watched
    assert [event.sequence for event in found] == list(range(began + 1, began + len(found) + 1))
    assert {s: sum(e.dataset_id == s for e in found) for s in subjects} == kept


async def test_numbers_become_visible_in_their_order(own_pool: Pool) -> None:
    subject = await dataset_row(own_pool)
    began = await last_event(own_pool)
    catalogue = PostgresCatalogue(own_pool, system_clock)
    async with catalogue.transaction() as first:
        await first.note(EventKind.UPDATED, subject)
        second = asyncio.create_task(note(own_pool, subject))
        done, _ = await asyncio.wait([second], timeout=0.2)
        assert not done  # it waits for the number before its own
        assert await last_event(own_pool) == began
    await second
    assert await last_event(own_pool) == began + 2


async def test_more_events_than_a_page_arrive_in_order(own_pool: Pool) -> None:
    subject, began = await dataset_row(own_pool), await last_event(own_pool)
    async with PostgresCatalogue(own_pool, system_clock).transaction() as catalogue:
        for _ in range(450):
            await catalogue.note(EventKind.UPDATED, subject)
    found = []
    async with aclosing(watches_of(own_pool, seconds=60).follow(began, subject)) as followed:
        async for event in followed:
            assert isinstance(event, Event)
            found.append(event.sequence)
            if len(found) == 450:
                break
    assert found == list(range(began + 1, began + 451))


async def test_a_heartbeat_goes_on_past_the_events_of_others(own_pool: Pool) -> None:
    mine, other = await dataset_row(own_pool), await dataset_row(own_pool)
    began = await last_event(own_pool)
    await note(own_pool, other)
    async with aclosing(watches_of(own_pool).follow(began, mine)) as followed:
        beat = await anext(followed)
        assert isinstance(beat, Heartbeat)
        assert beat.sequence == began + 1
        await note(own_pool, mine)
        while isinstance(event := await anext(followed), Heartbeat):
            pass
        assert (event.sequence, event.dataset_id) == (began + 2, mine)


async def test_events_are_forgotten_after_a_month_and_old_cursors_refused(pool: Pool) -> None:
    await migrate(pool, schema="dataset", package="services.dataset.storage")
    subject, now_ms = await dataset_row(pool), [system_clock() + KEPT_MS]

    def clock() -> int:
        return now_ms[0]

    began = await last_event(pool)
    for _ in range(3):
        await note(pool, subject, clock=clock)
        now_ms[0] += KEPT_MS // 2
    # The first is as old as three halves of what is kept, the second just old enough.
    await note(pool, subject, clock=clock)
    watches = watches_of(pool, clock=clock)
    for cursor in (began + 2, 0):
        async with aclosing(watches.follow(cursor, None)) as followed:
            event = await anext(followed)
            assert isinstance(event, Event)
            assert event.sequence == began + 3
    async with aclosing(watches.follow(began + 1, None)) as followed:
        with pytest.raises(Conflict, match=f"up to {began + 2} are forgotten") as caught:
            await anext(followed)
    assert caught.value.reason == "CURSOR_TOO_OLD"


def test_there_is_a_most_of_watches_and_each_gives_its_place_back() -> None:
    bell = Bell()
    places = [bell.heard() for _ in range(MAX_WATCHES)]
    listeners = [place.__enter__() for place in places]
    with pytest.raises(TooManyWatches, match="256 watches are open"), bell.heard():
        pass
    bell.ring()
    assert all(listener.is_set() for listener in listeners)
    places[0].__exit__(None, None, None)
    with bell.heard():
        pass
