"""The parts of runs without a server, on a clock of the test's own, with trainers as it wants."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterable, Sequence
from dataclasses import dataclass, field, replace
from uuid import UUID

import pyarrow as pa

from services.runs.app.dispatcher import Claim
from services.runs.app.figures import Figures
from services.runs.app.hub import Hub
from services.runs.app.janitor import Janitor
from services.runs.app.moves import RunMoves
from services.runs.app.runs import Runs
from services.runs.app.training import Training, TrainingLine
from services.runs.clients import messages
from services.runs.domain import events
from services.runs.domain.columns import DatasetVersion
from services.runs.domain.folds import Fold
from services.runs.domain.plan import PlannedFold
from services.runs.domain.runs import Run
from services.runs.domain.workers import Worker
from services.runs.storage.models import ModelFiles
from services.runs.storage.postgres import PostgresStore
from services.runs.storage.series import COLUMNS, Series
from services.shared.arrow_stream import ipc_messages
from services.shared.errors import DataLoss, Unavailable
from services.shared.postgres import Pool
from services.shared.series import SeriesStore
from tests.contract.run_examples import NOW, a_worker
from tests.integration.runs.peers import SENT, predictions_of, result_of


class FakeClock:
    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> int:
        return self.now


@dataclass
class Trainer:
    """Says what real ones say of each fold, after the gate is open."""

    gate: asyncio.Event = field(default_factory=asyncio.Event)
    said: int = 0

    async def train(
        self, worker: Worker, run: Run, folds: Sequence[PlannedFold]
    ) -> AsyncGenerator[events.FromTrainer]:
        for fold in folds:
            await self.gate.wait()
            planned = messages.planned_fold(fold)
            for ipc in ipc_messages(SENT, [predictions_of(planned)]):
                yield events.PredictionsPart(fold.number, ipc)
            yield events.ModelPart(fold.number, b"model")
            result = messages.fold_result_from(result_of(planned))
            self.said += 1
            yield events.TrainedFold(fold.number, result)
        yield events.Finished()


class Pins:
    """The dataset service, as far as pins go."""

    def __init__(self) -> None:
        self.unpinned: list[UUID] = []
        self.refused: set[UUID] = set()
        self.is_away = False

    async def version(self, dataset: str, version: int) -> DatasetVersion:
        raise NotImplementedError

    async def pin(self, dataset: str, version: int, holder: UUID) -> DatasetVersion:
        raise NotImplementedError

    async def times_ms(self, dataset: DatasetVersion, rows: Sequence[int]) -> dict[int, int]:
        raise NotImplementedError

    async def unpin(self, holder: UUID) -> None:
        if self.is_away:
            raise Unavailable("The dataset service is away.")
        if holder in self.refused:
            raise DataLoss(f"The pin of {holder} is damaged.")
        self.unpinned.append(holder)


class GatedSeries(Series):
    """Predictions are read when the gate is open; stuck tables cannot be dropped."""

    def __init__(self, store: SeriesStore) -> None:
        super().__init__(store)
        self.gate, self.reached = asyncio.Event(), asyncio.Event()
        self.gate.set()
        self.stuck: set[str] = set()

    async def drop(self, table: str) -> None:
        if table in self.stuck:
            raise DataLoss(f"Table {table} is damaged.")
        await super().drop(table)

    async def predictions(
        self,
        run: Run,
        folds: Iterable[Fold],
        columns: Sequence[str] = COLUMNS,
        *,
        start_ms: int | None = None,
        end_ms: int | None = None,
    ) -> AsyncGenerator[pa.RecordBatch]:
        self.reached.set()
        await self.gate.wait()
        read = super().predictions(run, folds, columns, start_ms=start_ms, end_ms=end_ms)
        async for batch in read:
            yield batch


class IdleQueue:
    def nudge(self) -> None:
        raise NotImplementedError

    async def stop(self, subject_id: UUID) -> None:
        """Nobody works on it."""


@dataclass(frozen=True, kw_only=True)
class World:
    pool: Pool
    store: PostgresStore
    series: GatedSeries
    models: ModelFiles
    moves: RunMoves
    figures: Figures
    clock: FakeClock
    pins: Pins
    janitor: Janitor

    def line(self, trainer: Trainer) -> TrainingLine:
        return TrainingLine(
            store=self.store,
            series=self.series,
            models=self.models,
            trainers=trainer,
            moves=self.moves,
            figures=self.figures,
            hub=Hub(),
            clock=self.clock,
        )

    def runs(self) -> Runs:
        return Runs(
            store=self.store,
            series=self.series,
            models=self.models,
            datasets=self.pins,
            queue=IdleQueue(),
            moves=self.moves,
            figures=self.figures,
            clock=self.clock,
        )

    async def outcome(self, run_id: UUID) -> tuple[object, ...] | None:
        async with self.pool.connection() as connection:
            cursor = await connection.execute(
                "SELECT state FROM runs.trial_outcomes WHERE trial_id = %s", [run_id]
            )
            return await cursor.fetchone()

    async def run(self, run_id: UUID) -> Run:
        async with self.store.transaction() as tx:
            return await tx.runs.get(run_id)

    async def claimed(self, line: TrainingLine) -> Claim[Training]:
        async with self.store.transaction() as tx:
            await tx.workers.register(alive(self.clock.now))
        claim = await line.claim()
        assert claim is not None
        return claim

    async def predictions(self, run_id: UUID) -> pa.Table:
        async with self.store.transaction() as tx:
            run, folds = await tx.runs.get(run_id), await tx.runs.folds(run_id)
        return pa.Table.from_batches([b async for b in self.series.predictions(run, folds)])


def alive(now_ms: int) -> Worker:
    return replace(a_worker(), last_seen_ms=now_ms)
