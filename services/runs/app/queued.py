"""What every kind of queued work has in common: it is claimed, leased and given up alike."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import replace
from typing import Generic, Protocol, TypeVar
from uuid import UUID

from services.runs.app.attempt import LEASE_MS
from services.runs.app.dispatcher import Move
from services.runs.domain.events import StateChanged
from services.runs.domain.runs import Run
from services.runs.domain.simulations import Simulation
from services.runs.domain.states import Lease
from services.runs.domain.workers import Worker
from services.runs.storage.protocol import Store, Transaction
from services.shared.clock import Clock

Item = TypeVar("Item", Run, Simulation)


class Queue(Protocol[Item]):
    """The table of a kind of work, as far as it is a queue."""

    async def claimable(self, now_ms: int) -> tuple[Item, Worker] | None: ...

    async def abandoned(self, now_ms: int) -> list[UUID]: ...

    async def put(self, item: Item, /) -> None: ...


class QueuedLine(ABC, Generic[Item]):
    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    @abstractmethod
    def _queue(self, tx: Transaction) -> Queue[Item]: ...

    @abstractmethod
    async def move(self, subject_id: UUID, move: Move, note: str) -> None: ...

    async def lapse(self) -> None:
        async with self._store.transaction() as tx:
            abandoned = await self._queue(tx).abandoned(self._clock())
        for subject_id in abandoned:
            await self.move(subject_id, lambda p: p.lapse(self._clock()), "The lease ran out.")

    async def forget(self, worker: Worker) -> None:
        async with self._store.transaction() as tx:
            await tx.workers.remove(worker.worker_id)

    async def _claimed(self, tx: Transaction) -> tuple[Item, Worker] | None:
        """The next piece of work, leased, with the event that says so."""
        now = self._clock()
        found = await self._queue(tx).claimable(now)
        if found is None:
            return None
        item, worker = found
        lease = Lease(worker_id=worker.worker_id, until_ms=now + LEASE_MS)
        item = replace(item, progression=item.progression.claim(lease, now))
        await self._queue(tx).put(item)
        await tx.events.append(item.subject_id, now, StateChanged(item.state))
        return item, worker
