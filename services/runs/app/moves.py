"""From one state to the next: the row, its event and, at the end, the outcome."""

from __future__ import annotations

from collections.abc import Callable
from uuid import UUID

from services.runs.app.figures import Figures
from services.runs.app.hub import Hub
from services.runs.domain.events import Log, StateChanged
from services.runs.domain.runs import Run
from services.runs.domain.simulations import Simulation
from services.runs.domain.trials import run_outcome, simulation_outcome
from services.runs.storage.protocol import Store
from services.shared.clock import Clock


class RunMoves:
    def __init__(self, *, store: Store, figures: Figures, hub: Hub, clock: Clock) -> None:
        self._store = store
        self._figures = figures
        self._hub = hub
        self._clock = clock

    async def move(self, run_id: UUID, change: Callable[[Run], Run], note: str = "") -> Run:
        """The run as it is then. Raises what `change` raises, and NotFound.

        One that ends without figures gets them afterwards: its end does not wait for them.
        """
        async with self._store.transaction() as tx:
            current = await tx.runs.lock(run_id)
            moved = change(current)
            if moved == current:
                return current
            await tx.runs.put(moved)
            if note:
                await tx.events.append(run_id, self._clock(), Log(note))
            event = StateChanged(moved.state, moved.progression.error)
            await tx.events.append(run_id, self._clock(), event)
            if moved.summary is not None:
                now = self._clock()
                await tx.ledger.conclude(run_outcome(run_id, moved.state, moved.summary, now))
        self._hub.stored(run_id)
        if moved.state.is_terminal and moved.summary is None:
            self._figures.begin(run_id)
        return moved


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
