"""Runs and their folds in PostgreSQL."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final
from uuid import UUID

from services.runs.domain.folds import Fold, FoldResult
from services.runs.domain.runs import Run
from services.runs.domain.states import StaleAttempt
from services.runs.domain.workers import GONE_AFTER_MS, Worker
from services.runs.storage import rows, run_rows
from services.runs.storage.protocol import Page, RunFilter
from services.runs.storage.tables import Table
from services.runs.storage.workers import PostgresWorkers
from services.shared.errors import NotFound

_FOLDS_AT_ONCE: Final = 200


class PostgresRuns(Table):
    async def add(self, run: Run) -> None:
        await self._execute("insert_run", run_rows.new_run_row(run))
        await self._many("insert_fold", [run_rows.new_fold_row(run, f) for f in run.plan.folds])

    async def get(self, run_id: UUID) -> Run:
        row = await self._row("select_run", {"run_id": run_id})
        if row is None:
            raise NotFound(f"There is no run {run_id}.", reason="RUN_NOT_FOUND")
        return run_rows.run(row)

    async def lock(self, run_id: UUID) -> Run:
        # Two statements: one that waited for the lock would show what was there before.
        await self._rows("lock_run", {"run_id": run_id})
        return await self.get(run_id)

    async def put(self, run: Run) -> None:
        await self._execute("update_run", run_rows.run_row(run))

    async def put_fold(self, run_id: UUID, number: int, result: FoldResult) -> None:
        row = run_rows.result_row(result) | {"run_id": run_id, "fold_number": number}
        if await self._execute("update_fold", row) != 1:
            raise StaleAttempt(f"Fold {number} of run {run_id} is stored already, or not planned.")

    async def folds(self, run_id: UUID, *, start: int = 0, limit: int | None = None) -> list[Fold]:
        found: list[Fold] = []
        while limit is None or len(found) < limit:
            # A few at a time: reading their metrics holds up whoever else is served.
            size = _FOLDS_AT_ONCE if limit is None else min(_FOLDS_AT_ONCE, limit - len(found))
            values = {"run_id": run_id, "start": start, "limit": size}
            page = [run_rows.fold(row) for row in await self._rows("select_folds", values)]
            found += page
            if len(page) < size:
                break
            start = page[-1].planned.number + 1
        return found

    async def find(self, wanted: RunFilter, page: Page) -> list[Run]:
        after_ms, after_id = page.after or (None, None)
        values = vars(wanted) | {
            "after_at": rows.at(after_ms),
            "after_id": after_id,
            "skip": page.skip,
            "size": page.size,
        }
        return [run_rows.run(row) for row in await self._rows("find_runs", values)]

    async def uses(self, dataset_id: UUID) -> tuple[int, int]:
        (row,) = await self._rows("count_uses", {"dataset_id": dataset_id})
        return row["runs"], row["simulations"]

    async def remove(self, run_id: UUID) -> None:
        await self._execute("delete_events_of_run", {"run_id": run_id})
        await self._execute("delete_run", {"run_id": run_id})

    async def claimable(self, now_ms: int) -> tuple[Run, Worker] | None:
        values = {"now": rows.at(now_ms), "seen_after": rows.at(now_ms - GONE_AFTER_MS)}
        row = await self._row("claimable_run", values)
        if row is None:
            return None
        worker = await PostgresWorkers(self._connection).get(row["worker_id"], now_ms)
        return await self.get(row["run_id"]), worker

    async def abandoned(self, now_ms: int) -> list[UUID]:
        found = await self._rows("abandoned_runs", {"now": rows.at(now_ms)})
        return [row["run_id"] for row in found]

    async def unsummarised(self) -> list[UUID]:
        return [row["run_id"] for row in await self._rows("unsummarised_runs", {})]

    async def exist(self, run_ids: Sequence[UUID]) -> set[UUID]:
        found = await self._rows("existing_runs", {"run_ids": list(run_ids)})
        return {row["run_id"] for row in found}
