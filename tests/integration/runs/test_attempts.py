"""Attempts that outlive their lease, and what a crash leaves to the janitor.

The clock is the test's own; PostgreSQL, the series store and the files are real.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from services.runs.app.attempt import LEASE_MS, RENEW_MS, Attempt
from services.runs.app.figures import Figures
from services.runs.app.hub import Hub
from services.runs.app.janitor import Janitor
from services.runs.app.moves import RunMoves
from services.runs.clients import messages
from services.runs.domain.feasibility import make_folds
from services.runs.domain.plan import Facts, Windows, boundary_rows, with_times
from services.runs.domain.runs import Run
from services.runs.domain.states import StaleAttempt, State
from services.runs.domain.trials import Trial
from services.runs.storage.models import ModelFiles
from services.runs.storage.postgres import PostgresStore
from services.shared.errors import Unavailable
from services.shared.migrate import migrate
from services.shared.postgres import Pool
from services.shared.series.arrow_files import arrow_files
from tests.contract.run_examples import HOUR, NOW, RESULT, a_run, added
from tests.integration.runs.house import PATIENCE_SECONDS
from tests.integration.runs.peers import SENT, predictions_of, result_of
from tests.integration.runs.world import FakeClock, GatedSeries, Pins, Trainer, World

UNARY_SECONDS = 5.0


@pytest.fixture
async def world(pool: Pool, tmp_path: Path) -> AsyncIterator[World]:
    await migrate(pool, schema="runs", package="services.runs.storage")
    async with pool.connection() as connection:
        await connection.execute("DELETE FROM runs.walkforward_runs")
        await connection.execute("DELETE FROM runs.workers")
    async with arrow_files(tmp_path / "series") as series_store:
        store, clock, pins = PostgresStore(pool), FakeClock(), Pins()
        series, models = GatedSeries(series_store), ModelFiles(tmp_path / "models")
        figures = Figures(store=store, series=series, clock=clock)
        moves = RunMoves(store=store, figures=figures, hub=Hub(), clock=clock)
        janitor = Janitor(
            store=store,
            series=series,
            models=models,
            datasets=pins,
            figures=figures,
            clock=clock,
        )
        yield World(
            pool=pool,
            store=store,
            series=series,
            models=models,
            moves=moves,
            figures=figures,
            clock=clock,
            pins=pins,
            janitor=janitor,
        )
        await figures.stop()


async def queued(world: World) -> Run:
    run = await added(world.store)
    trial = Trial(
        trial_id=run.run_id, kind="RUN", dataset_slug="s", target="TGT", started_at_ms=NOW
    )
    async with world.store.transaction() as tx:
        await tx.ledger.record(trial)
    return run


async def test_a_zombie_past_its_lease_changes_nothing(world: World) -> None:
    run_id = (await queued(world)).run_id
    zombie = Trainer()
    slow, quick = world.line(zombie), world.line(Trainer())
    first = await world.claimed(slow)
    doing = asyncio.create_task(slow.do(first))
    world.clock.now += LEASE_MS
    await quick.lapse()
    assert (await world.run(run_id)).state is State.QUEUED
    second = await world.claimed(quick)
    assert (first.attempt, second.attempt) == (1, 2)
    zombie.gate.set()
    with pytest.raises(StaleAttempt):
        await doing
    assert zombie.said == 1
    assert (await world.run(run_id)).folds_completed == 0
    heir = Trainer()
    heir.gate.set()
    await world.line(heir).do(second)
    run = await world.run(run_id)
    assert (run.state, run.folds_completed) == (State.COMPLETED, run.fold_count)
    # The zombie's rows of fold 0 lie in the table, and nobody sees them.
    async with world.store.transaction() as tx:
        folds = await tx.runs.folds(run_id)
    assert {f.result.attempt for f in folds if f.result} == {2}
    read = await world.predictions(run_id)
    assert read["bar_index"].to_pylist() == list(
        range(folds[0].planned.test.rows.start, folds[-1].planned.test.rows.end)
    )


async def test_a_lease_that_was_renewed_does_not_lapse(world: World) -> None:
    run_id = (await queued(world)).run_id
    trainer = Trainer()
    line = world.line(trainer)
    claim = await world.claimed(line)
    world.clock.now += LEASE_MS - 1
    trainer.gate.set()
    async with world.store.transaction() as tx:
        before = (await tx.runs.get(run_id)).progression.lease
    await line.lapse()
    assert (await world.run(run_id)).progression.lease == before
    await line.do(claim)
    assert (await world.run(run_id)).state is State.COMPLETED


async def test_three_leases_that_run_out_fail_the_run(world: World) -> None:
    run_id = (await queued(world)).run_id
    line = world.line(Trainer())
    for _ in range(3):
        await world.claimed(line)
        world.clock.now += LEASE_MS
        await line.lapse()
    run = await world.run(run_id)
    assert run.state is State.FAILED
    assert "3 attempts in a row brought nothing" in run.progression.error
    await world.figures.wait(run_id, PATIENCE_SECONDS)
    assert (await world.run(run_id)).summary is not None


async def test_a_crash_after_the_last_fold_leaves_only_the_ending(world: World) -> None:
    run_id = (await queued(world)).run_id
    trainer = Trainer()
    trainer.gate.set()
    line = world.line(trainer)
    claim = await world.claimed(line)
    missing = claim.work.missing
    await world.series.prepare(claim.work.run)
    attempt = Attempt(world.store, run_id, claim.attempt, world.clock)
    await line._train(claim, attempt)  # killed before it is completed
    world.clock.now += LEASE_MS
    await line.lapse()
    again = await world.claimed(line)
    assert again.work.missing == ()
    await line.do(again)
    assert (await world.run(run_id)).state is State.COMPLETED
    assert trainer.said == len(missing)


async def test_a_run_ends_at_once_when_cancelled_and_its_figures_follow(world: World) -> None:
    run_id = (await queued(world)).run_id
    world.series.gate.clear()
    async with asyncio.timeout(PATIENCE_SECONDS):
        run = await world.runs().cancel(run_id)
    assert (run.state, run.summary) == (State.CANCELLED, None)
    world.series.gate.set()
    await world.figures.wait(run_id, PATIENCE_SECONDS)
    summary = (await world.run(run_id)).summary
    assert summary is not None
    assert summary["n_folds"] == 0
    assert await world.outcome(run_id) == ("CANCELLED",)


async def test_two_thousand_overlapping_folds_are_cancelled_within_a_call_and_pooled(
    world: World,
) -> None:
    run = overlapping(2000, test_size=5)
    await added(world.store, run)
    async with world.store.transaction() as tx:
        await tx.runs.put(replace(run, folds_completed=run.fold_count))
        trial = Trial(
            trial_id=run.run_id, kind="RUN", dataset_slug="s", target="T", started_at_ms=1
        )
        await tx.ledger.record(trial)
    await stored_by_hand(world, run)
    async with asyncio.timeout(UNARY_SECONDS):
        cancelled = await world.runs().cancel(run.run_id)
    assert cancelled.state is State.CANCELLED
    await world.figures.wait(run.run_id, PATIENCE_SECONDS)
    summary = (await world.run(run.run_id)).summary
    assert summary is not None
    assert (summary["n_folds"], summary["n_rows"]) == (2000, 2004)
    assert summary["n_overlapping"] == 5 * 2000 - 2004


def overlapping(count: int, test_size: int) -> Run:
    run = a_run()
    windows = Windows(train_size=600, test_size=test_size, fold_step=1)
    rows = windows.rows_for_one_fold + count - 1
    facts = Facts(rows=rows, lookback_rows=1, lookahead_rows=1, bar_interval_ms=HOUR)
    folds = make_folds(windows, facts)
    times = {row: row * HOUR for row in boundary_rows(folds)}
    plan = replace(run.plan, windows=windows, folds=with_times(folds, times, HOUR))
    return replace(run, plan=plan, fold_count=len(folds))


async def stored_by_hand(world: World, run: Run) -> None:
    """Every fold with its own predictions, and the figures of the first."""
    told = messages.fold_result_from(result_of(messages.planned_fold(run.plan.folds[0])))
    result = replace(told, attempt=1, model_sha256="ab" * 32)
    await world.series.prepare(run)
    async with world.store.transaction() as tx:
        for fold in run.plan.folds:
            batch = predictions_of(messages.planned_fold(fold))
            await world.series.write_fold(run, fold.number, result, [batch])
            await tx.runs.put_fold(run.run_id, fold.number, result)


async def test_the_outcome_of_a_run_deleted_before_its_figures_is_recorded(world: World) -> None:
    run_id = (await queued(world)).run_id
    world.series.gate.clear()
    await world.moves.move(run_id, lambda run: run.cancel(NOW))
    await world.runs().delete(run_id)
    world.series.gate.set()
    await world.figures.wait(run_id, PATIENCE_SECONDS)
    assert await world.outcome(run_id) == ("CANCELLED",)


async def test_a_finished_run_keeps_its_lease_while_it_is_pooled(world: World) -> None:
    run_id = (await queued(world)).run_id
    trainer = Trainer()
    trainer.gate.set()
    line = world.line(trainer)
    claim = await world.claimed(line)
    world.series.gate.clear()
    doing = asyncio.create_task(line.do(claim))
    async with asyncio.timeout(PATIENCE_SECONDS):
        await world.series.reached.wait()
        for _ in range(2 * LEASE_MS // RENEW_MS):
            world.clock.now += RENEW_MS
            await _renewed(world, run_id, world.clock.now + LEASE_MS)
            await line.lapse()
    assert (await world.run(run_id)).state is State.RUNNING
    world.series.gate.set()
    await doing
    run = await world.run(run_id)
    assert (run.state, run.progression.attempt) == (State.COMPLETED, 1)
    assert run.summary is not None
    assert await world.outcome(run_id) == ("COMPLETED",)


async def _renewed(world: World, run_id: UUID, until_ms: int) -> None:
    while True:
        lease = (await world.run(run_id)).progression.lease
        assert lease is not None
        if lease.until_ms == until_ms:
            return
        await asyncio.sleep(0.01)


async def test_pooling_a_run_that_was_cancelled_meanwhile_completes_nothing(world: World) -> None:
    run_id = (await queued(world)).run_id
    trainer = Trainer()
    trainer.gate.set()
    line = world.line(trainer)
    claim = await world.claimed(line)
    world.series.gate.clear()
    doing = asyncio.create_task(line.do(claim))
    async with asyncio.timeout(PATIENCE_SECONDS):
        await world.series.reached.wait()
        await world.moves.move(run_id, lambda run: run.cancel(NOW))
        world.clock.now += RENEW_MS
        with pytest.raises(StaleAttempt):
            await doing
    assert (await world.run(run_id)).state is State.CANCELLED


async def test_the_janitor_gives_back_pins_without_a_run_when_it_can(world: World) -> None:
    holder = uuid4()
    async with world.store.transaction() as tx:
        await tx.ledger.loosen_pin(holder, world.clock.now)
    await world.janitor.unpin()
    assert holder not in world.pins.unpinned  # its CreateRun may still be under way
    world.clock.now += 60_001
    world.pins.is_away = True
    with pytest.raises(Unavailable):
        await world.janitor.unpin()
    world.pins.is_away = False
    await world.janitor.unpin()
    await world.janitor.unpin()
    assert world.pins.unpinned.count(holder) == 1


async def test_the_janitor_pools_what_ended_without_figures(world: World) -> None:
    run = await queued(world)
    async with world.store.transaction() as tx:
        await tx.runs.put(run.cancel(NOW))
    await world.janitor.pool()
    summary = (await world.run(run.run_id)).summary
    assert summary is not None
    assert summary["n_folds"] == 0


async def test_a_run_that_cannot_be_pooled_does_not_keep_others_waiting(world: World) -> None:
    for _ in range(2):
        broken = await stored_run_without_rows(world)
        whole = await queued(world)
        async with world.store.transaction() as tx:
            await tx.runs.put(whole.cancel(NOW))
        await world.janitor.pool()
        assert (await world.run(broken.run_id)).summary is None
        assert (await world.run(whole.run_id)).summary is not None


async def stored_run_without_rows(world: World) -> Run:
    run = await queued(world)
    await world.series.prepare(run)
    async with world.store.transaction() as tx:
        await tx.runs.put_fold(run.run_id, 0, RESULT)
        await tx.runs.put(run.cancel(NOW))
    return run


async def test_a_pin_that_cannot_be_given_back_does_not_keep_others_waiting(world: World) -> None:
    refused, holder = uuid4(), uuid4()
    world.pins.refused.add(refused)
    async with world.store.transaction() as tx:
        await tx.ledger.loosen_pin(refused, world.clock.now)
        await tx.ledger.loosen_pin(holder, world.clock.now + 1)
    world.clock.now += 60_002
    await world.janitor.unpin()
    assert holder in world.pins.unpinned
    async with world.store.transaction() as tx:
        assert await tx.ledger.tie_pin(refused)


async def test_a_table_that_cannot_be_dropped_does_not_keep_others_waiting(world: World) -> None:
    gone = [a_run() for _ in range(3)]
    for run in gone:
        await world.series.prepare(run)
    world.series.stuck.add(gone[0].predictions_table)
    await world.janitor.sweep()
    left = [table.name for table in await world.series.own_tables()]
    assert left == [gone[0].predictions_table]


async def test_the_janitor_drops_tables_and_models_of_runs_that_are_gone(world: World) -> None:
    kept, gone = await added(world.store), a_run()
    for run in (kept, gone):
        await world.series.prepare(run)
        model = world.models.begin(run.run_id)
        await model.write(b"model")
        await model.finish()
    orphan = f"{gone.plan.dataset.slug}_sim_{uuid4().hex}_trades_a1"
    await world.series.begin_simulated(orphan, SENT, ("timestamp_ms",))
    await world.janitor.sweep()
    assert [t.name for t in await world.series.own_tables()] == [kept.predictions_table]
    assert await world.models.runs() == [kept.run_id]
