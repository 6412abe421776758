"""What an attempt at a run may store: every change checks that it is still the one at work."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import replace
from typing import Any, Final, TypeVar
from uuid import UUID

from services.runs.domain.events import Kept
from services.runs.domain.runs import Run
from services.runs.storage.protocol import Store, Transaction
from services.shared.clock import Clock

LEASE_MS: Final = 20_000
RENEW_MS: Final = 5_000  # workers are heard of as often
_LOOK_SECONDS: Final = 0.25

Result = TypeVar("Result")

Also = Callable[[Transaction, Run], Awaitable[object]]


class Attempt:
    """Raises StaleAttempt when it is over, and NotFound when the run is deleted."""

    def __init__(self, store: Store, run_id: UUID, number: int, clock: Clock) -> None:
        self._store = store
        self._run_id = run_id
        self.number = number
        self._clock = clock
        self._renewed_ms = clock()

    async def change(self, change: Callable[[Run], Run], also: Also | None = None) -> None:
        """In one transaction, with what `also` does to the changed run. Renews the lease."""
        now = self._clock()
        async with self._store.transaction() as tx:
            run = await tx.runs.lock(self._run_id)
            leased = replace(run, progression=run.progression.renew(self.number, now + LEASE_MS))
            changed = change(leased)
            await tx.runs.put(changed)
            if also:
                await also(tx, changed)
        self._renewed_ms = now

    async def note(self, kind: Kept) -> None:
        await self.change(
            lambda run: run, lambda tx, run: tx.events.append(run.run_id, self._clock(), kind)
        )

    async def renew(self) -> None:
        """When it is time."""
        if self._clock() - self._renewed_ms >= RENEW_MS:
            await self.change(lambda run: run)

    async def during(self, work: Coroutine[Any, Any, Result]) -> Result:
        """Its result; the lease is kept as long as it takes. Raises what either raises."""
        task = asyncio.create_task(work)
        try:
            while not (await asyncio.wait([task], timeout=_LOOK_SECONDS))[0]:
                await self.renew()
            return task.result()
        finally:
            if task.cancel():
                await asyncio.wait([task])
