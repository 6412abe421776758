"""What can be asked of runs. Each method is one use case."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Final, Protocol
from uuid import UUID, uuid4

import pyarrow as pa

from services.runs.app.figures import Figures
from services.runs.app.moves import RunMoves
from services.runs.app.once import Once
from services.runs.app.planning import Datasets, make_plan
from services.runs.domain.events import StateChanged
from services.runs.domain.folds import Fold
from services.runs.domain.runs import Plan, Run, RunSpec
from services.runs.domain.states import Progression, State
from services.runs.domain.trials import Trial, run_outcome
from services.runs.storage.models import ModelFiles
from services.runs.storage.protocol import Page, RunFilter, Store
from services.runs.storage.series import Series
from services.shared.clock import Clock
from services.shared.errors import InvalidRequest, Stage1Error, Unavailable, Violation

_FIGURES_SECONDS: Final = 1.0  # most runs have theirs by then


@dataclass(frozen=True, kw_only=True)
class WantedPredictions:
    """Empty folds are all, None is no bound."""

    folds: frozenset[int]
    columns: Sequence[str]
    start_ms: int | None
    end_ms: int | None


class Queue(Protocol):
    def nudge(self) -> None:
        """There may be something to do."""

    async def stop(self, subject_id: UUID) -> None:
        """End the work on it here; nobody working on it is fine."""


class Runs:
    def __init__(
        self,
        *,
        store: Store,
        series: Series,
        models: ModelFiles,
        datasets: Datasets,
        queue: Queue,
        moves: RunMoves,
        figures: Figures,
        clock: Clock,
    ) -> None:
        self._store = store
        self._series = series
        self._models = models
        self._datasets = datasets
        self._queue = queue
        self._moves = moves
        self._figures = figures
        self._clock = clock

    async def plan(self, spec: RunSpec) -> Plan:
        dataset = await self._datasets.version(spec.dataset, spec.version)
        return await make_plan(self._datasets, spec, dataset)

    async def create(self, spec: RunSpec, *, name: str, once: Once | None) -> Run:
        """The queued run, its plan with all folds."""
        if once and (made := await self._made_before(once)):
            return made
        run_id = uuid4()
        try:
            run = await self._planned(run_id, spec, name)
        except Stage1Error:
            await self._unpin(run_id)
            raise
        # Should this fail, the commit may have come through all the same: whether the pin is
        # loose then stands in the ledger, and the janitor looks there.
        if await self._stored(run, once):
            self._queue.nudge()
            return run
        assert once
        await self._unpin(run_id)  # another call with the key came first
        earlier = await self._made_before(once)
        if earlier is None:
            raise Unavailable("The first call with this idempotency key failed; try again.")
        return earlier

    async def _made_before(self, once: Once) -> Run | None:
        async with self._store.transaction() as tx:
            made = await once.recall(tx, self._clock())
            if made is None:
                return None
            with once.finding_what_it_made():
                run, folds = await tx.runs.get(made), await tx.runs.folds(made)
        return replace(run, plan=replace(run.plan, folds=tuple(f.planned for f in folds)))

    async def _planned(self, run_id: UUID, spec: RunSpec, name: str) -> Run:
        async with self._store.transaction() as tx:
            await tx.ledger.loosen_pin(run_id, self._clock())
        dataset = await self._datasets.pin(spec.dataset, spec.version, run_id)
        plan = await make_plan(self._datasets, spec, dataset)
        return Run(
            run_id=run_id,
            name=name,
            plan=plan,
            device=spec.device,
            fold_count=len(plan.folds),
            progression=Progression(created_at_ms=self._clock()),
        )

    async def _stored(self, run: Run, once: Once | None) -> bool:
        """False when another call with the same key came first."""
        now = run.progression.created_at_ms
        async with self._store.transaction() as tx:
            if once and not await once.remember(tx, run.run_id, now):
                return False
            if not await tx.ledger.tie_pin(run.run_id):
                raise Unavailable("Planning took so long that the version's pin was given back.")
            await tx.runs.add(run)
            await tx.ledger.record(
                Trial(
                    trial_id=run.run_id,
                    kind="RUN",
                    dataset_slug=run.plan.dataset.slug,
                    target=run.plan.target,
                    started_at_ms=now,
                )
            )
            await tx.events.append(run.run_id, now, StateChanged(State.QUEUED))
        return True

    async def get(self, run_id: UUID) -> Run:
        async with self._store.transaction() as tx:
            return await tx.runs.get(run_id)

    async def find(self, wanted: RunFilter, page: Page) -> list[Run]:
        async with self._store.transaction() as tx:
            return await tx.runs.find(wanted, page)

    async def uses(self, dataset_id: UUID) -> tuple[int, int]:
        """How many runs and simulations there are of a dataset."""
        async with self._store.transaction() as tx:
            return await tx.runs.uses(dataset_id)

    async def folds(self, run_id: UUID, *, start: int, limit: int) -> list[Fold]:
        async with self._store.transaction() as tx:
            await tx.runs.get(run_id)
            return await tx.runs.folds(run_id, start=start, limit=limit)

    async def cancel(self, run_id: UUID) -> Run:
        await self._moves.move(run_id, lambda r: r.cancel(self._clock()))
        # After the commit: a trainer that misses this is refused at its next fold.
        await self._queue.stop(run_id)
        await self._figures.wait(run_id, _FIGURES_SECONDS)
        return await self.get(run_id)

    async def delete(self, run_id: UUID) -> None:
        async with self._store.transaction() as tx:
            run = await tx.runs.lock(run_id)
            run.refuse_unfinished()
            simulations = await tx.simulations.of_run(run_id)
            await tx.runs.remove(run_id)
            now = self._clock()
            await tx.ledger.conclude(run_outcome(run_id, run.state, run.summary, now))
            await tx.ledger.loosen_pin(run_id, now)
        # It is gone; what of this fails is done by the janitor.
        for simulation_id in simulations:
            await self._queue.stop(simulation_id)
        await self._series.drop_of(run_id, *simulations)
        await self._models.remove(run_id)
        await self._unpin(run_id)

    async def _unpin(self, run_id: UUID) -> None:
        with suppress(Stage1Error):
            await self._datasets.unpin(run_id)
            async with self._store.transaction() as tx:
                await tx.ledger.tie_pin(run_id)

    async def predictions(
        self, run_id: UUID, wanted: WantedPredictions
    ) -> tuple[pa.Schema, AsyncGenerator[pa.RecordBatch]]:
        """Of the folds that are stored now."""
        async with self._store.transaction() as tx:
            run, folds = await tx.runs.get(run_id), await tx.runs.folds(run_id)
        known = {fold.planned.number for fold in folds}
        if unknown := sorted(wanted.folds - known):
            raise InvalidRequest(
                [Violation("folds", f"name {unknown[0]}, which is no fold of run {run_id}")]
            )
        chosen = [f for f in folds if not wanted.folds or f.planned.number in wanted.folds]
        batches = self._series.predictions(
            run, chosen, wanted.columns, start_ms=wanted.start_ms, end_ms=wanted.end_ms
        )
        return self._series.schema(wanted.columns), batches
