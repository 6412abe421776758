"""What can be asked of simulations. Each method is one use case."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from uuid import UUID, uuid4

import pyarrow as pa

from services.runs.app.moves import SimulationMoves
from services.runs.app.once import Once
from services.runs.app.runs import Queue
from services.runs.domain.events import StateChanged
from services.runs.domain.simulations import Settings, Simulation, simulate
from services.runs.domain.trials import Trial
from services.runs.storage.protocol import Page, SimulationFilter, Store, Transaction
from services.runs.storage.series import Series
from services.shared.arrow_stream import Piece
from services.shared.clock import Clock


class Simulations:
    def __init__(
        self,
        *,
        store: Store,
        series: Series,
        queue: Queue,
        moves: SimulationMoves,
        clock: Clock,
    ) -> None:
        self._store = store
        self._series = series
        self._queue = queue
        self._moves = moves
        self._clock = clock

    async def create(self, run_id: UUID, settings: Settings, *, once: Once | None) -> Simulation:
        now = self._clock()
        async with self._store.transaction() as tx:
            if once and (made := await _made_before(tx, once, now)):
                return made
            run = await tx.runs.lock(run_id)  # it cannot be deleted under us
            simulation = simulate(run, uuid4(), settings, now)
            if once and not await once.remember(tx, simulation.simulation_id, now):
                made = await _made_before(tx, once, now)
                assert made
                return made
            await self._store_new(tx, simulation, run.plan.target)
        self._queue.nudge()
        return simulation

    async def _store_new(self, tx: Transaction, simulation: Simulation, target: str) -> None:
        now = simulation.progression.created_at_ms
        await tx.simulations.add(simulation)
        await tx.ledger.record(
            Trial(
                trial_id=simulation.simulation_id,
                kind="SIMULATION",
                dataset_slug=simulation.dataset_slug,
                target=target,
                started_at_ms=now,
            )
        )
        await tx.events.append(simulation.simulation_id, now, StateChanged(simulation.state))

    async def get(self, simulation_id: UUID) -> Simulation:
        async with self._store.transaction() as tx:
            return await tx.simulations.get(simulation_id)

    async def find(self, wanted: SimulationFilter, page: Page) -> list[Simulation]:
        async with self._store.transaction() as tx:
            return await tx.simulations.find(wanted, page)

    async def cancel(self, simulation_id: UUID) -> Simulation:
        simulation = await self._moves.move(simulation_id, lambda s: s.cancel(self._clock()))
        await self._queue.stop(simulation_id)
        return simulation

    async def delete(self, simulation_id: UUID) -> None:
        async with self._store.transaction() as tx:
            (await tx.simulations.lock(simulation_id)).refuse_unfinished()
            await tx.simulations.remove(simulation_id)
        await self._series.drop_of(simulation_id)  # should this fail, the janitor does it

    async def rows(self, simulation_id: UUID, kind: str) -> tuple[pa.Schema, AsyncGenerator[Piece]]:
        """Of `trades` or `equity`."""
        simulation = await self.get(simulation_id)
        simulation.refuse_unread()
        return await self._series.simulated(simulation, kind)


async def _made_before(tx: Transaction, once: Once, now_ms: int) -> Simulation | None:
    made = await once.recall(tx, now_ms)
    if made is None:
        return None
    with once.finding_what_it_made():
        return await tx.simulations.get(made)
