from __future__ import annotations

import asyncio
from contextlib import aclosing

import pytest

from services.runs.app.hub import MAX_WATCHERS, Hub
from services.runs.app.watch import PROGRESS_SECONDS, Watches, run_state
from services.runs.domain.events import Event, Heartbeat, Log, Progress, StateChanged
from services.runs.domain.runs import Run
from services.runs.domain.states import State
from services.runs.storage.postgres import PostgresStore
from services.shared.errors import Exhausted, NotFound
from services.shared.migrate import migrate
from services.shared.postgres import Pool
from tests.contract.run_examples import NOW, added


@pytest.fixture
async def store(pool: Pool) -> PostgresStore:
    await migrate(pool, schema="runs", package="services.runs.storage")
    return PostgresStore(pool)


async def begun(store: PostgresStore) -> Run:
    """A run whose first event says to a test that it is watching."""
    run = await added(store)
    async with store.transaction() as tx:
        await tx.events.append(run.run_id, NOW, Log("Begun."))
    return run


def told(round_: int) -> Progress:
    return Progress(fold=0, round=round_, rounds=9, train_score=1.0, validation_score=1.0)


async def test_a_silent_run_still_sends_heartbeats(store: PostgresStore) -> None:
    run = await added(store)
    watches = Watches(store=store, hub=Hub(), clock=lambda: NOW, heartbeat_seconds=0.01)
    async with aclosing(watches.follow(run.run_id, 0, run_state)) as events:
        for _ in range(3):
            assert await anext(events) == Event(sequence=0, at_ms=NOW, kind=Heartbeat())


async def test_what_another_process_stored_comes_with_a_heartbeat(store: PostgresStore) -> None:
    run = await added(store)
    watches = Watches(store=store, hub=Hub(), clock=lambda: NOW, heartbeat_seconds=0.01)
    async with aclosing(watches.follow(run.run_id, 0, run_state)) as events:
        assert (await anext(events)).kind == Heartbeat()
        async with store.transaction() as tx:
            stored = await tx.events.append(run.run_id, NOW, Log("Elsewhere."))
        while (event := await anext(events)).kind == Heartbeat():
            pass
        assert event == stored


async def test_only_the_latest_progress_is_told_and_at_most_twice_a_second(
    store: PostgresStore,
) -> None:
    run, hub = await begun(store), Hub()
    watches = Watches(store=store, hub=hub, clock=lambda: NOW)
    now = asyncio.get_running_loop().time
    async with aclosing(watches.follow(run.run_id, 0, run_state)) as events:
        assert (await anext(events)).kind == Log("Begun.")
        hub.progressed(run.run_id, told(1))
        assert (await anext(events)).kind == told(1)
        began = now()
        for done in range(2, 8):
            hub.progressed(run.run_id, told(done))
        assert (await anext(events)).kind == told(7)
        assert now() - began >= PROGRESS_SECONDS - 0.05


async def test_more_events_than_a_page_arrive_in_order(store: PostgresStore) -> None:
    run = await added(store)
    async with store.transaction() as tx:
        for line in range(450):
            await tx.events.append(run.run_id, NOW, Log(f"Line {line}."))
        await tx.runs.put(run.cancel(NOW))
        await tx.events.append(run.run_id, NOW, StateChanged(State.CANCELLED))
    watches = Watches(store=store, hub=Hub(), clock=lambda: NOW)
    sequences = [e.sequence async for e in watches.follow(run.run_id, 0, run_state)]
    assert sequences == list(range(1, 452))


async def test_a_watcher_of_a_run_that_is_deleted_is_told(store: PostgresStore) -> None:
    run, hub = await begun(store), Hub()
    watches = Watches(store=store, hub=hub, clock=lambda: NOW)
    async with aclosing(watches.follow(run.run_id, 0, run_state)) as events:
        assert (await anext(events)).kind == Log("Begun.")
        async with store.transaction() as tx:
            await tx.runs.remove(run.run_id)
        hub.stored(run.run_id)
        with pytest.raises(NotFound):
            await anext(events)


async def test_there_is_a_most_of_watches_and_each_gives_its_place_back(
    store: PostgresStore,
) -> None:
    run, hub = await added(store), Hub()
    places = [hub.watching(run.run_id) for _ in range(MAX_WATCHERS)]
    for place in places:
        place.__enter__()
    with pytest.raises(Exhausted), hub.watching(run.run_id):
        pass
    places[0].__exit__(None, None, None)
    with hub.watching(run.run_id):
        pass
    for place in places[1:]:
        place.__exit__(None, None, None)
