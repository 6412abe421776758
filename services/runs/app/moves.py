"""From one state to the next: the row, its event and, at the end, pooled figures and outcome."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any
from uuid import UUID

import structlog

from services.runs.app.hub import Hub
from services.runs.app.summary import pooled
from services.runs.domain.events import Log, StateChanged
from services.runs.domain.folds import Fold
from services.runs.domain.runs import Run
from services.runs.domain.simulations import Simulation
from services.runs.domain.trials import run_outcome, simulation_outcome
from services.runs.storage.protocol import Store
from services.runs.storage.series import Series
from services.shared.clock import Clock

log = structlog.get_logger()


class RunMoves:
    def __init__(self, *, store: Store, series: Series, hub: Hub, clock: Clock) -> None:
        self._store = store
        self._series = series
        self._hub = hub
        self._clock = clock

    async def move(self, run_id: UUID, change: Callable[[Run], Run], note: str = "") -> Run:
        """The run as it is then. Raises what `change` raises, and NotFound.

        At an end the figures are pooled before the lock is taken, so that one commit says
        both; should that fail or a fold come in between, the janitor pools again.
        """
        async with self._store.transaction() as tx:
            before = await tx.runs.get(run_id)
            folds = await tx.runs.folds(run_id) if change(before).state.is_terminal else []
        ends = change(before).state.is_terminal and not before.state.is_terminal
        summary = await self._pooled(before, folds) if ends else None
        async with self._store.transaction() as tx:
            current = await tx.runs.lock(run_id)
            moved = change(current)
            if moved == current:
                return current
            if ends and moved.folds_completed == before.folds_completed:
                moved = replace(moved, summary=summary)
            await tx.runs.put(moved)
            if note:
                await tx.events.append(run_id, self._clock(), Log(note))
            event = StateChanged(moved.state, moved.progression.error)
            await tx.events.append(run_id, self._clock(), event)
            if moved.summary is not None:
                now = self._clock()
                await tx.ledger.conclude(run_outcome(run_id, moved.state, moved.summary, now))
        self._hub.stored(run_id)
        return moved

    async def _pooled(self, run: Run, folds: Sequence[Fold]) -> Mapping[str, Any] | None:
        try:
            return await pooled(self._series, run, folds)
        except Exception:  # whatever is wrong with figures, the run has to end
            log.exception("pooling_failed", run_id=str(run.run_id))
            return None

    async def summarise(self, run_id: UUID) -> None:
        """Pools the figures of a run that ended without."""
        async with self._store.transaction() as tx:
            run, folds = await tx.runs.get(run_id), await tx.runs.folds(run_id)
        summary = await pooled(self._series, run, folds)
        async with self._store.transaction() as tx:
            run = await tx.runs.lock(run_id)
            if run.summary is None and run.state.is_terminal:
                await tx.runs.put(replace(run, summary=summary))
                now = self._clock()
                await tx.ledger.conclude(run_outcome(run_id, run.state, summary, now))


class SimulationMoves:
    def __init__(self, *, store: Store, hub: Hub, clock: Clock) -> None:
        self._store = store
        self._hub = hub
        self._clock = clock

    async def move(
        self, simulation_id: UUID, change: Callable[[Simulation], Simulation], note: str = ""
    ) -> Simulation:
        """As of a run."""
        async with self._store.transaction() as tx:
            current = await tx.simulations.lock(simulation_id)
            moved = change(current)
            if moved == current:
                return current
            await tx.simulations.put(moved)
            if note:
                await tx.events.append(simulation_id, self._clock(), Log(note))
            event = StateChanged(moved.state, moved.progression.error)
            await tx.events.append(simulation_id, self._clock(), event)
            if moved.state.is_terminal:
                metrics = moved.result.metrics if moved.result else None
                now = self._clock()
                await tx.ledger.conclude(
                    simulation_outcome(simulation_id, moved.state, metrics, now)
                )
        self._hub.stored(simulation_id)
        return moved
