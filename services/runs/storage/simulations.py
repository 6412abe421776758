"""Simulations and their buckets in PostgreSQL."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from services.runs.domain.simulations import Simulation
from services.runs.domain.workers import GONE_AFTER_MS, Worker
from services.runs.storage import rows, simulation_rows
from services.runs.storage.protocol import Page, SimulationFilter
from services.runs.storage.tables import Table
from services.runs.storage.workers import PostgresWorkers
from services.shared.errors import NotFound


class PostgresSimulations(Table):
    async def add(self, simulation: Simulation) -> None:
        await self._execute("insert_simulation", simulation_rows.new_simulation_row(simulation))

    async def get(self, simulation_id: UUID) -> Simulation:
        row = await self._row("select_simulation", {"simulation_id": simulation_id})
        if row is None:
            raise NotFound(
                f"There is no simulation {simulation_id}.", reason="SIMULATION_NOT_FOUND"
            )
        [simulation] = await self._with_buckets([row])
        return simulation

    async def lock(self, simulation_id: UUID) -> Simulation:
        await self._rows("lock_simulation", {"simulation_id": simulation_id})
        return await self.get(simulation_id)

    async def put(self, simulation: Simulation) -> None:
        await self._execute("update_simulation", simulation_rows.simulation_row(simulation))
        if simulation.result:
            buckets = [simulation_rows.bucket_row(simulation, b) for b in simulation.result.buckets]
            await self._many("insert_bucket", buckets)

    async def find(self, wanted: SimulationFilter, page: Page) -> list[Simulation]:
        after_ms, after_id = page.after or (None, None)
        values = vars(wanted) | {
            "after_at": rows.at(after_ms),
            "after_id": after_id,
            "skip": page.skip,
            "size": page.size,
        }
        return await self._with_buckets(await self._rows("find_simulations", values))

    async def of_run(self, run_id: UUID) -> list[UUID]:
        found = await self._rows("simulations_of_run", {"run_id": run_id})
        return [row["simulation_id"] for row in found]

    async def remove(self, simulation_id: UUID) -> None:
        await self._execute("delete_events", {"subject_id": simulation_id})
        await self._execute("delete_simulation", {"simulation_id": simulation_id})

    async def claimable(self, now_ms: int) -> tuple[Simulation, Worker] | None:
        values = {"now": rows.at(now_ms), "seen_after": rows.at(now_ms - GONE_AFTER_MS)}
        row = await self._row("claimable_simulation", values)
        if row is None:
            return None
        worker = await PostgresWorkers(self._connection).get(row["worker_id"], now_ms)
        return await self.get(row["simulation_id"]), worker

    async def abandoned(self, now_ms: int) -> list[UUID]:
        found = await self._rows("abandoned_simulations", {"now": rows.at(now_ms)})
        return [row["simulation_id"] for row in found]

    async def current(self, simulation_ids: Sequence[UUID]) -> dict[UUID, int]:
        values = {"simulation_ids": list(simulation_ids)}
        found = await self._rows("current_simulations", values)
        return {row["simulation_id"]: row["attempt"] for row in found}

    async def _with_buckets(self, found: list[rows.Row]) -> list[Simulation]:
        ids = [row["simulation_id"] for row in found if row["metrics"] is not None]
        buckets = await self._rows("select_buckets", {"simulation_ids": ids}) if ids else []
        return [
            simulation_rows.simulation(
                row, [b for b in buckets if b["simulation_id"] == row["simulation_id"]]
            )
            for row in found
        ]
