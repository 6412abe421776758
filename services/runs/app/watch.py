"""Events of a run or simulation: replayed from a sequence number, then live until it ends."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Final
from uuid import UUID

from services.runs.app.hub import Hub, Watcher
from services.runs.domain.events import Event, Heartbeat
from services.runs.domain.states import State
from services.runs.storage.protocol import Store, Transaction
from services.shared.clock import Clock

HEARTBEAT_SECONDS: Final = 15.0
PROGRESS_SECONDS: Final = 0.5
_PAGE: Final = 200

StateOf = Callable[[Transaction, UUID], Awaitable[State]]


async def run_state(tx: Transaction, run_id: UUID) -> State:
    return (await tx.runs.get(run_id)).state


async def simulation_state(tx: Transaction, simulation_id: UUID) -> State:
    return (await tx.simulations.get(simulation_id)).state


class Watches:
    def __init__(
        self, *, store: Store, hub: Hub, clock: Clock, heartbeat_seconds: float = HEARTBEAT_SECONDS
    ) -> None:
        self._store = store
        self._hub = hub
        self._clock = clock
        self._heartbeat = heartbeat_seconds

    async def follow(
        self, subject_id: UUID, after: int, state_of: StateOf
    ) -> AsyncGenerator[Event]:
        """Ends after the event of a terminal state. Raises NotFound, also when it is deleted."""
        pace = _Pace(self._heartbeat)
        with self._hub.watching(subject_id) as watcher:
            while True:
                while watcher.stored:
                    watcher.stored = False
                    state, events = await self._read(subject_id, after, state_of)
                    for event in events:
                        yield event
                        after = event.sequence
                    if len(events) == _PAGE:
                        watcher.stored = True
                    elif state.is_terminal:
                        return
                for event in self._live(watcher, pace):
                    yield event
                if not watcher.stored:
                    await watcher.wait(pace.rest(progress_waits=watcher.progress is not None))

    async def _read(
        self, subject_id: UUID, after: int, state_of: StateOf
    ) -> tuple[State, list[Event]]:
        async with self._store.transaction() as tx:
            # The state first: what ended it is then among the events.
            state = await state_of(tx, subject_id)
            return state, await tx.events.after(subject_id, after, _PAGE)

    def _live(self, watcher: Watcher, pace: _Pace) -> list[Event]:
        """What is not kept: progress at its pace, and a heartbeat when it is time."""
        live: list[Event] = []
        if watcher.progress and pace.progress_is_due():
            live.append(Event(sequence=0, at_ms=self._clock(), kind=watcher.progress))
            watcher.progress = None
        if pace.heartbeat_is_due():
            live.append(Event(sequence=0, at_ms=self._clock(), kind=Heartbeat()))
            watcher.stored = True  # another process may have stored something
        return live


class _Pace:
    """When the next heartbeat and the next progress may go out."""

    def __init__(self, heartbeat_seconds: float) -> None:
        self._seconds = heartbeat_seconds
        self._now = asyncio.get_running_loop().time
        self._heartbeat_at = self._now() + heartbeat_seconds
        self._progress_at = 0.0

    def progress_is_due(self) -> bool:
        if self._now() < self._progress_at:
            return False
        self._progress_at = self._now() + PROGRESS_SECONDS
        return True

    def heartbeat_is_due(self) -> bool:
        if self._now() < self._heartbeat_at:
            return False
        self._heartbeat_at = self._now() + self._seconds
        return True

    def rest(self, *, progress_waits: bool) -> float:
        until = self._heartbeat_at
        if progress_waits:
            until = min(until, self._progress_at)
        return max(0.0, until - self._now())
