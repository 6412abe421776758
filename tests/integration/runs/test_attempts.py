"""Attempts that outlive their lease, and what a crash leaves to the janitor.

The clock is the test's own; PostgreSQL, the series store and the files are real.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from uuid import UUID, uuid4

import pyarrow as pa
import pytest

from services.runs.app.attempt import LEASE_MS, RENEW_MS, Attempt
from services.runs.app.dispatcher import Claim
from services.runs.app.figures import Figures
from services.runs.app.hub import Hub
from services.runs.app.janitor import Janitor
from services.runs.app.moves import RunMoves
from services.runs.app.runs import Runs
from services.runs.app.training import Training, TrainingLine
from services.runs.clients import messages
from services.runs.domain import events
from services.runs.domain.columns import DatasetVersion
from services.runs.domain.feasibility import make_folds
from services.runs.domain.folds import Fold
from services.runs.domain.plan import Facts, PlannedFold, Windows, boundary_rows, with_times
from services.runs.domain.runs import Run
from services.runs.domain.states import StaleAttempt, State
from services.runs.domain.trials import Trial
from services.runs.domain.workers import Worker
from services.runs.storage.models import ModelFiles
from services.runs.storage.postgres import PostgresStore
from services.runs.storage.series import COLUMNS, Series
from services.shared.arrow_stream import ipc_messages
from services.shared.errors import DataLoss, Unavailable
from services.shared.migrate import migrate
from services.shared.postgres import Pool
from services.shared.series import SeriesStore
from services.shared.series.arrow_files import arrow_files
from tests.contract.run_store import HOUR, NOW, RESULT, a_run, a_worker, added
from tests.integration.runs.house import PATIENCE_SECONDS
from tests.integration.runs.peers import SENT, predictions_of, result_of

UNARY_SECONDS = 5.0


class FakeClock:
    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> int:
        return self.now


@dataclass
class Trainer:
    """Says what real ones say of each fold, after the gate is open."""

    gate: asyncio.Event = field(default_factory=asyncio.Event)
    said: int = 0

    async def train(
        self, worker: Worker, run: Run, folds: Sequence[PlannedFold]
    ) -> AsyncGenerator[events.FromTrainer]:
        for fold in folds:
            await self.gate.wait()
            planned = messages.planned_fold(fold)
            for ipc in ipc_messages(SENT, [predictions_of(planned)]):
                yield events.PredictionsPart(fold.number, ipc)
            yield events.ModelPart(fold.number, b"model")
            result = messages.fold_result_from(result_of(planned))
            self.said += 1
            yield events.TrainedFold(fold.number, result)
        yield events.Finished()


class Pins:
    """The dataset service, as far as pins go."""

    def __init__(self) -> None:
        self.unpinned: list[UUID] = []
        self.refused: set[UUID] = set()
        self.is_away = False

    async def version(self, dataset: str, version: int) -> DatasetVersion:
        raise NotImplementedError

    async def pin(self, dataset: str, version: int, holder: UUID) -> DatasetVersion:
        raise NotImplementedError

    async def times_ms(self, dataset: DatasetVersion, rows: Sequence[int]) -> dict[int, int]:
        raise NotImplementedError

    async def unpin(self, holder: UUID) -> None:
        if self.is_away:
            raise Unavailable("The dataset service is away.")
        if holder in self.refused:
            raise DataLoss(f"The pin of {holder} is damaged.")
        self.unpinned.append(holder)


class GatedSeries(Series):
    """Predictions are read when the gate is open; stuck tables cannot be dropped."""

    def __init__(self, store: SeriesStore) -> None:
        super().__init__(store)
        self.gate, self.reached = asyncio.Event(), asyncio.Event()
        self.gate.set()
        self.stuck: set[str] = set()

    async def drop(self, table: str) -> None:
        if table in self.stuck:
            raise DataLoss(f"Table {table} is damaged.")
        await super().drop(table)

    async def predictions(
        self,
        run: Run,
        folds: Iterable[Fold],
        columns: Sequence[str] = COLUMNS,
        *,
        start_ms: int | None = None,
        end_ms: int | None = None,
    ) -> AsyncGenerator[pa.RecordBatch]:
        self.reached.set()
        await self.gate.wait()
        read = super().predictions(run, folds, columns, start_ms=start_ms, end_ms=end_ms)
        async for batch in read:
            yield batch


class IdleQueue:
    def nudge(self) -> None:
        raise NotImplementedError

    async def stop(self, subject_id: UUID) -> None:
        """Nobody works on it."""


@dataclass(frozen=True, kw_only=True)
class World:
    pool: Pool
    store: PostgresStore
    series: GatedSeries
    models: ModelFiles
    moves: RunMoves
    figures: Figures
    clock: FakeClock
    pins: Pins
    janitor: Janitor

    def line(self, trainer: Trainer) -> TrainingLine:
        return TrainingLine(
            store=self.store,
            series=self.series,
            models=self.models,
            trainers=trainer,
            moves=self.moves,
            figures=self.figures,
            hub=Hub(),
            clock=self.clock,
        )

    def runs(self) -> Runs:
        return Runs(
            store=self.store,
            series=self.series,
            models=self.models,
            datasets=self.pins,
            queue=IdleQueue(),
            moves=self.moves,
            figures=self.figures,
            clock=self.clock,
        )

    async def outcome(self, run_id: UUID) -> tuple[object, ...] | None:
        async with self.pool.connection() as connection:
            cursor = await connection.execute(
                "SELECT state FROM runs.trial_outcomes WHERE trial_id = %s", [run_id]
            )
            return await cursor.fetchone()

    async def run(self, run_id: UUID) -> Run:
        async with self.store.transaction() as tx:
            return await tx.runs.get(run_id)

    async def claimed(self, line: TrainingLine) -> Claim[Training]:
        async with self.store.transaction() as tx:
            await tx.workers.register(_alive(self.clock.now))
        claim = await line.claim()
        assert claim is not None
        return claim

    async def predictions(self, run_id: UUID) -> pa.Table:
        async with self.store.transaction() as tx:
            run, folds = await tx.runs.get(run_id), await tx.runs.folds(run_id)
        return pa.Table.from_batches([b async for b in self.series.predictions(run, folds)])


def _alive(now_ms: int) -> Worker:
    return replace(a_worker(), last_seen_ms=now_ms)


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
