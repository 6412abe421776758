"""The queue of runs: each attempt is one Train call, and every fold is committed as it arrives.

A fold is committed in one transaction that checks the attempt, after its predictions are in
the series store and its model is on disk. So a late attempt changes nothing, and the next one
goes on from the first missing fold.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import Protocol
from uuid import UUID

from services.runs.app.attempt import Attempt
from services.runs.app.dispatcher import Claim, Move
from services.runs.app.figures import Figures
from services.runs.app.hub import Hub
from services.runs.app.intake import FoldIntake
from services.runs.app.moves import RunMoves
from services.runs.app.queued import Queue, QueuedLine
from services.runs.app.summary import evaluation
from services.runs.domain import events
from services.runs.domain.plan import PlannedFold
from services.runs.domain.runs import Run
from services.runs.domain.workers import Worker
from services.runs.storage.models import ModelFiles
from services.runs.storage.protocol import Store, Transaction
from services.runs.storage.series import Series
from services.shared.clock import Clock
from services.shared.errors import DataLoss


class Trainers(Protocol):
    def train(
        self, worker: Worker, run: Run, folds: Sequence[PlannedFold]
    ) -> AsyncGenerator[events.FromTrainer]:
        """What the trainer says until it has finished. Leaving the loop cancels its work."""


@dataclass(frozen=True)
class Training:
    """A claimed run and the folds it lacks."""

    run: Run
    missing: tuple[PlannedFold, ...]


class TrainingLine(QueuedLine[Run]):
    def __init__(
        self,
        *,
        store: Store,
        series: Series,
        models: ModelFiles,
        trainers: Trainers,
        moves: RunMoves,
        figures: Figures,
        hub: Hub,
        clock: Clock,
    ) -> None:
        super().__init__(store, clock)
        self._series = series
        self._models = models
        self._trainers = trainers
        self._moves = moves
        self._figures = figures
        self._hub = hub

    def _queue(self, tx: Transaction) -> Queue[Run]:
        return tx.runs

    async def claim(self) -> Claim[Training] | None:
        async with self._store.transaction() as tx:
            claimed = await self._claimed(tx)
            if claimed is None:
                return None
            run, worker = claimed
            folds = await tx.runs.folds(run.run_id)
        self._hub.stored(run.run_id)
        return Claim(
            subject_id=run.run_id,
            attempt=run.progression.attempt,
            worker=worker,
            work=Training(run, tuple(f.planned for f in folds if f.result is None)),
        )

    async def move(self, subject_id: UUID, move: Move, note: str) -> None:
        await self._moves.move(
            subject_id, lambda run: replace(run, progression=move(run.progression)), note
        )

    async def do(self, claim: Claim[Training]) -> None:
        run = claim.work.run
        attempt = Attempt(self._store, run.run_id, claim.attempt, self._clock)
        await self._series.prepare(run)
        if claim.work.missing:
            await self._train(claim, attempt)
        # Whoever hears that it is completed finds its figures.
        summary = await attempt.during(self._figures.of(run.run_id))
        await self._moves.move(
            run.run_id, lambda r: r.complete(claim.attempt, summary, self._clock())
        )

    async def _train(self, claim: Claim[Training], attempt: Attempt) -> None:
        run, missing = claim.work.run, claim.work.missing
        intake = FoldIntake(run.run_id, missing, self._models)
        try:
            async with aclosing(self._trainers.train(claim.worker, run, missing)) as said:
                async for event in said:
                    await self._take(event, run, attempt, intake)
                    await attempt.renew()
        finally:
            await intake.discard()
        if not intake.is_complete:
            raise DataLoss("The trainer ended before it had sent every fold.")

    async def _take(
        self, event: events.FromTrainer, run: Run, attempt: Attempt, intake: FoldIntake
    ) -> None:
        match event:
            case events.Progress():
                self._hub.progressed(run.run_id, event)
            case events.PredictionsPart():
                intake.predictions(event.fold, event.ipc)
            case events.ModelPart():
                await intake.model(event.fold, event.data)
            case events.TrainedFold():
                await self._commit(event, run, attempt, intake)
            case events.FoldStarted():
                await attempt.note(events.FoldStarted(event.fold, attempt.number))
                self._hub.stored(run.run_id)
            case events.Log():
                await attempt.note(event)
                self._hub.stored(run.run_id)
            case events.Environment():
                await attempt.change(lambda r: replace(r, environment=event.facts))
            case events.Heartbeat() | events.Finished():
                pass

    async def _commit(
        self, event: events.TrainedFold, run: Run, attempt: Attempt, intake: FoldIntake
    ) -> None:
        evaluation(event.result)
        batches, sha256 = await intake.complete(event.fold)
        if event.result.model_sha256 not in ("", sha256):
            raise DataLoss(f"The model of fold {event.fold} is not the one its trainer sent.")
        result = replace(event.result, model_sha256=sha256, attempt=attempt.number)
        await self._series.write_fold(run, event.fold, result, batches)

        async def store(tx: Transaction, current: Run) -> None:
            await tx.runs.put_fold(run.run_id, event.fold, result)
            completed = events.FoldCompleted(
                fold=event.fold,
                folds_completed=current.folds_completed,
                fold_count=current.fold_count,
            )
            await tx.events.append(run.run_id, self._clock(), completed)

        await attempt.change(lambda r: r.add_fold(attempt.number, result), store)
        self._hub.stored(run.run_id)
