"""What an attempt at a run may store: every change checks that it is still the one at work."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Final
from uuid import UUID

from services.runs.domain.events import Kept
from services.runs.domain.runs import Run
from services.runs.storage.protocol import Store, Transaction
from services.shared.clock import Clock

LEASE_MS: Final = 20_000
RENEW_MS: Final = 5_000  # workers are heard of as often

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
