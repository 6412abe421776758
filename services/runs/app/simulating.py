"""The queue of simulations: each attempt is one Simulate call with tables of its own.

The tables count once the simulation is COMPLETED with that attempt; the janitor drops others.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import Final, Protocol
from uuid import UUID

import pyarrow as pa

from services.runs.app.attempt import LEASE_MS, RENEW_MS
from services.runs.app.dispatcher import Claim, Move
from services.runs.app.hub import Hub
from services.runs.app.moves import SimulationMoves
from services.runs.app.queued import Queue, QueuedLine
from services.runs.domain import events
from services.runs.domain.folds import Fold
from services.runs.domain.simulations import Result, Simulation
from services.runs.domain.workers import Worker
from services.runs.storage.protocol import Store, Transaction
from services.runs.storage.series import Series
from services.shared.arrow_stream import Decoder
from services.shared.clock import Clock
from services.shared.errors import DataLoss

WRITE_BYTES: Final = 16 << 20
MAX_TABLE_BYTES: Final = 16 << 30  # of the equity of some hundred million bars
_KEYS: Final = {"trades": ("timestamp_ms", "trade_id"), "equity": ("timestamp_ms",)}


class Simulators(Protocol):
    def simulate(
        self, worker: Worker, simulation: Simulation, folds: Sequence[Fold]
    ) -> AsyncGenerator[events.FromSimulator]:
        """What the simulator says; the result comes last."""


@dataclass(frozen=True)
class Simulating:
    """A claimed simulation and the stored folds of its run."""

    simulation: Simulation
    folds: tuple[Fold, ...]


class SimulatingLine(QueuedLine[Simulation]):
    def __init__(
        self,
        *,
        store: Store,
        series: Series,
        simulators: Simulators,
        moves: SimulationMoves,
        hub: Hub,
        clock: Clock,
    ) -> None:
        super().__init__(store, clock)
        self._series = series
        self._simulators = simulators
        self._moves = moves
        self._hub = hub

    def _queue(self, tx: Transaction) -> Queue[Simulation]:
        return tx.simulations

    async def claim(self) -> Claim[Simulating] | None:
        async with self._store.transaction() as tx:
            claimed = await self._claimed(tx)
            if claimed is None:
                return None
            simulation, worker = claimed
            folds = await tx.runs.folds(simulation.run_id)
        self._hub.stored(simulation.simulation_id)
        return Claim(
            subject_id=simulation.simulation_id,
            attempt=simulation.progression.attempt,
            worker=worker,
            work=Simulating(simulation, tuple(f for f in folds if f.result)),
        )

    async def move(self, subject_id: UUID, move: Move, note: str) -> None:
        await self._moves.move(
            subject_id, lambda s: replace(s, progression=move(s.progression)), note
        )

    async def do(self, claim: Claim[Simulating]) -> None:
        simulation = claim.work.simulation
        tables = {
            kind: IncomingTable(self._series, simulation.table(kind), _KEYS[kind]) for kind in _KEYS
        }
        result = await self._received(claim, tables)
        for table in tables.values():
            await table.finish()
        await self._moves.move(
            claim.subject_id, lambda s: s.complete(claim.attempt, result, self._clock())
        )

    async def _received(
        self, claim: Claim[Simulating], tables: Mapping[str, IncomingTable]
    ) -> Result:
        simulation, folds = claim.work.simulation, claim.work.folds
        renewed_ms = self._clock()
        async with aclosing(self._simulators.simulate(claim.worker, simulation, folds)) as said:
            async for event in said:
                match event:
                    case events.TradesPart():
                        await tables["trades"].take(event.ipc)
                    case events.EquityPart():
                        await tables["equity"].take(event.ipc)
                    case Result():
                        return event
                if self._clock() - renewed_ms >= RENEW_MS:
                    renewed_ms = self._clock()
                    await self._renew(claim, renewed_ms + LEASE_MS)
        raise DataLoss("The simulator ended without a result.")

    async def _renew(self, claim: Claim[Simulating], until_ms: int) -> None:
        async with self._store.transaction() as tx:
            current = await tx.simulations.lock(claim.subject_id)
            progression = current.progression.renew(claim.attempt, until_ms)
            await tx.simulations.put(replace(current, progression=progression))


class IncomingTable:
    """A stream on its way into a table: checked, and written in pieces of some megabytes."""

    def __init__(self, series: Series, name: str, key: Sequence[str]) -> None:
        self._series = series
        self._name = name
        self._key = key
        self._decoder = Decoder(max_bytes=MAX_TABLE_BYTES)
        self._waiting: list[pa.RecordBatch] = []
        self._is_begun = False

    async def take(self, ipc: bytes) -> None:
        self._waiting += (batch for batch in self._decoder.feed(ipc) if batch.num_rows)
        if self._decoder.schema is not None and not self._is_begun:
            self._is_begun = True
            self._refuse_keyless(self._decoder.schema)
            await self._series.begin_simulated(self._name, self._decoder.schema, self._key)
        if sum(batch.nbytes for batch in self._waiting) >= WRITE_BYTES:
            await self._write()

    async def finish(self) -> None:
        """Returns when all of it can be read."""
        self._decoder.finish()
        await self._write()
        await self._series.settle(self._name)

    async def _write(self) -> None:
        if self._waiting:
            await self._series.write_simulated(self._name, self._waiting)
            self._waiting = []

    def _refuse_keyless(self, schema: pa.Schema) -> None:
        for name in self._key:
            if name not in schema.names or not pa.types.is_integer(schema.field(name).type):
                raise DataLoss(f"The simulator sent {self._name} without whole numbers in {name}.")
