"""Pooled figures of runs: of one about to be completed, and of those that ended otherwise.

Pooling reads every prediction and may take long, so nothing that must end waits for it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from typing import Any
from uuid import UUID

import structlog

from services.runs.app.summary import pooled
from services.runs.domain.trials import run_outcome
from services.runs.storage.protocol import Store
from services.runs.storage.series import Series
from services.shared.clock import Clock
from services.shared.errors import NotFound

log = structlog.get_logger()


class Figures:
    def __init__(self, *, store: Store, series: Series, clock: Clock) -> None:
        self._store = store
        self._series = series
        self._clock = clock
        self._under_way: dict[UUID, asyncio.Task[None]] = {}
        self._turn = asyncio.Semaphore(1)  # a run's predictions are in memory meanwhile

    async def of(self, run_id: UUID) -> Mapping[str, Any] | None:
        """None when they cannot be pooled: whatever is wrong with them, the run has to end."""
        try:
            return await self._pooled(run_id)
        except Exception:
            log.exception("pooling_failed", run_id=str(run_id))
            return None

    async def add(self, run_id: UUID) -> None:
        """To a run that ended without."""
        summary = await self._pooled(run_id)
        async with self._store.transaction() as tx:
            run = await tx.runs.lock(run_id)
            if run.summary is None and run.state.is_terminal:
                await tx.runs.put(replace(run, summary=summary))
                now = self._clock()
                await tx.ledger.conclude(run_outcome(run_id, run.state, summary, now))

    def begin(self, run_id: UUID) -> None:
        """Adds them in the background; what fails or is cut off is done by the janitor."""
        if run_id not in self._under_way:
            task = self._under_way[run_id] = asyncio.create_task(self._add_in_turn(run_id))
            task.add_done_callback(lambda _: self._under_way.pop(run_id))

    async def wait(self, run_id: UUID, seconds: float) -> None:
        """For what was begun, but no longer than that."""
        if task := self._under_way.get(run_id):
            await asyncio.wait([task], timeout=seconds)

    async def stop(self) -> None:
        tasks = list(self._under_way.values())
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    async def _add_in_turn(self, run_id: UUID) -> None:
        async with self._turn:
            try:
                await self.add(run_id)
            except NotFound:
                log.info("pooling_overtaken", run_id=str(run_id))  # deleted meanwhile
            except Exception:
                log.exception("pooling_failed", run_id=str(run_id))

    async def _pooled(self, run_id: UUID) -> Mapping[str, Any]:
        async with self._store.transaction() as tx:
            run, folds = await tx.runs.get(run_id), await tx.runs.folds(run_id)
        return await pooled(self._series, run, folds)
