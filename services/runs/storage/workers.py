"""Workers in PostgreSQL."""

from __future__ import annotations

from uuid import UUID

from services.runs.domain.workers import GONE_AFTER_MS, Worker
from services.runs.storage import rows
from services.runs.storage.tables import Table
from services.shared.errors import NotFound


class PostgresWorkers(Table):
    async def register(self, worker: Worker) -> None:
        await self._execute("upsert_worker", rows.worker_row(worker))

    async def beat(self, worker_id: UUID, now_ms: int) -> bool:
        values = {"worker_id": worker_id, "now": rows.at(now_ms)}
        values["seen_after"] = rows.at(now_ms - GONE_AFTER_MS)
        return await self._execute("beat_worker", values) == 1

    async def alive(self, now_ms: int) -> list[Worker]:
        return await self._alive(now_ms, None)

    async def get(self, worker_id: UUID, now_ms: int) -> Worker:
        for worker in await self._alive(now_ms, worker_id):
            return worker
        raise NotFound(f"There is no worker {worker_id}.", reason="WORKER_UNKNOWN")

    async def remove(self, worker_id: UUID) -> None:
        await self._execute("remove_worker", {"worker_id": worker_id})

    async def forget(self, before_ms: int) -> None:
        await self._execute("forget_workers", {"before": rows.at(before_ms)})

    async def _alive(self, now_ms: int, worker_id: UUID | None) -> list[Worker]:
        values = {
            "worker_id": worker_id,
            "now": rows.at(now_ms),
            "seen_after": rows.at(now_ms - GONE_AFTER_MS),
        }
        return [rows.worker(row) for row in await self._rows("alive_workers", values)]
