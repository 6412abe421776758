"""Finishes what a crash left half done: pins, tables, model files and pooled figures."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import Final, TypeVar
from uuid import UUID

import structlog

from services.runs.app.figures import Figures
from services.runs.app.planning import Datasets
from services.runs.domain.workers import GONE_AFTER_MS
from services.runs.storage.models import ModelFiles
from services.runs.storage.protocol import Store
from services.runs.storage.series import OwnTable, Series
from services.shared.clock import Clock
from services.shared.errors import Stage1Error, Unavailable

_ROUND_SECONDS: Final = 30.0
_PIN_GRACE_MS: Final = 60_000  # longer than any CreateRun can take
_WORKER_GRACE_MS: Final = 10 * GONE_AFTER_MS

Item = TypeVar("Item")

log = structlog.get_logger()


class Janitor:
    def __init__(
        self,
        *,
        store: Store,
        series: Series,
        models: ModelFiles,
        datasets: Datasets,
        figures: Figures,
        clock: Clock,
    ) -> None:
        self._store = store
        self._series = series
        self._models = models
        self._datasets = datasets
        self._figures = figures
        self._clock = clock

    async def run(self) -> None:
        """Rounds until cancelled."""
        while True:
            for chore in (self.pool, self.unpin, self.sweep, self.forget):
                try:
                    await chore()
                except Stage1Error as error:
                    log.warning("chore_failed", chore=chore.__name__, error=str(error))
                except Exception:
                    log.exception("chore_crashed", chore=chore.__name__)
            await asyncio.sleep(_ROUND_SECONDS)

    async def pool(self) -> None:
        async with self._store.transaction() as tx:
            lacking = await tx.runs.unsummarised()
        await _each(lacking, self._figures.add)

    async def unpin(self) -> None:
        async with self._store.transaction() as tx:
            holders = await tx.ledger.loose_pins(self._clock() - _PIN_GRACE_MS)
        await _each(holders, self._unpin)

    async def _unpin(self, holder: UUID) -> None:
        await self._datasets.unpin(holder)
        async with self._store.transaction() as tx:
            await tx.ledger.tie_pin(holder)

    async def sweep(self) -> None:
        """Tables and models of runs that are gone, and tables of attempts that do not count."""
        tables, folders = await self._series.own_tables(), await self._models.runs()
        ids = list({t.subject_id for t in tables})
        async with self._store.transaction() as tx:
            runs = await tx.runs.exist([*ids, *folders])
            simulations = await tx.simulations.current(ids)
        dropped = [
            table
            for table in tables
            if (
                simulations.get(table.subject_id) != table.attempt
                if table.is_simulation
                else table.subject_id not in runs
            )
        ]
        await _each(dropped, self._drop)
        await _each(set(folders) - runs, self._models.remove)

    async def _drop(self, table: OwnTable) -> None:
        log.info("table_dropped", table=table.name)
        await self._series.drop(table.name)

    async def forget(self) -> None:
        now = self._clock()
        async with self._store.transaction() as tx:
            await tx.ledger.forget_keys(now)
            await tx.workers.forget(now - _WORKER_GRACE_MS)


async def _each(items: Iterable[Item], do: Callable[[Item], Awaitable[None]]) -> None:
    """One that fails does not keep the others waiting. Raises Unavailable: so would they all."""
    for item in items:
        try:
            await do(item)
        except Unavailable:
            raise
        except Exception:
            log.exception("chore_failed_on", item=str(item))
