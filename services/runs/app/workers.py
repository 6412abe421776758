"""Who computes: registered by themselves, known as long as they are heard."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from uuid import UUID

from services.runs.app.runs import Queue
from services.runs.domain.workers import Worker, refuse_stranger
from services.runs.storage.protocol import Store
from services.shared.clock import Clock
from services.shared.errors import NotFound


class Workers:
    def __init__(self, *, store: Store, queue: Queue, allowed: Sequence[str], clock: Clock) -> None:
        self._store = store
        self._queue = queue
        self._allowed = allowed
        self._clock = clock

    async def register(self, worker: Worker) -> None:
        refuse_stranger(worker.address, self._allowed)
        async with self._store.transaction() as tx:
            await tx.workers.register(replace(worker, last_seen_ms=self._clock()))
        self._queue.nudge()

    async def heartbeat(self, worker_id: UUID) -> None:
        async with self._store.transaction() as tx:
            known = await tx.workers.beat(worker_id, self._clock())
        if not known:
            raise NotFound(
                f"There is no worker {worker_id}, or it was not heard of in time: register again.",
                reason="WORKER_UNKNOWN",
            )

    async def alive(self) -> list[Worker]:
        async with self._store.transaction() as tx:
            return await tx.workers.alive(self._clock())
