"""Trainers and simulators, dialled at the address they registered with."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, Final, TypeVar

from grpc import aio
from stage1.runs.v1 import run_pb2
from stage1.simulator.v1 import simulator_service_pb2 as simulator
from stage1.simulator.v1.simulator_service_pb2_grpc import SimulatorServiceStub
from stage1.trainer.v1 import trainer_service_pb2 as trainer
from stage1.trainer.v1.trainer_service_pb2_grpc import TrainerServiceStub

from services.runs.clients import messages
from services.runs.domain import events
from services.runs.domain.folds import Fold
from services.runs.domain.plan import PlannedFold
from services.runs.domain.runs import Run
from services.runs.domain.simulations import Simulation
from services.runs.domain.workers import Worker
from services.shared.errors import DataLoss, Stalled
from services.shared.rpc import client
from services.shared.rpc.status import refusals

if TYPE_CHECKING:
    from stage1.simulator.v1.simulator_service_pb2_grpc import SimulatorServiceAsyncStub
    from stage1.trainer.v1.trainer_service_pb2_grpc import TrainerServiceAsyncStub

Message = TypeVar("Message")

SILENCE_SECONDS: Final = 15.0  # three of a worker's heartbeats


class Workers:
    def __init__(self, token: str | None, *, silence_seconds: float = SILENCE_SECONDS) -> None:
        self._token = token
        self._silence = silence_seconds

    async def train(
        self, worker: Worker, run: Run, folds: Sequence[PlannedFold]
    ) -> AsyncGenerator[events.FromTrainer]:
        """What the trainer says until it has finished. Leaving the loop cancels its work."""
        async with client.channel(worker.address, token=self._token) as channel:
            stub: TrainerServiceAsyncStub = TrainerServiceStub(channel)
            call = stub.Train(_train_request(run, folds))
            async with aclosing(self._heard(call, worker)) as heard:
                async for message in heard:
                    yield _from_trainer(message)

    async def simulate(
        self, worker: Worker, simulation: Simulation, folds: Sequence[Fold]
    ) -> AsyncGenerator[events.FromSimulator]:
        """What the simulator says; the result comes last."""
        async with client.channel(worker.address, token=self._token) as channel:
            stub: SimulatorServiceAsyncStub = SimulatorServiceStub(channel)
            call = stub.Simulate(_simulate_request(simulation, folds))
            async with aclosing(self._heard(call, worker)) as heard:
                async for message in heard:
                    yield _from_simulator(message)

    async def _heard(
        self, call: aio.UnaryStreamCall[Any, Message], worker: Worker
    ) -> AsyncGenerator[Message]:
        messages_in = aiter(call)
        try:
            with refusals():
                while True:
                    try:
                        async with asyncio.timeout(self._silence):
                            message = await anext(messages_in, None)
                    except TimeoutError:
                        raise Stalled(
                            f"The worker at {worker.address} said nothing for {self._silence:g} s."
                        ) from None
                    if message is None:
                        return
                    yield message
        finally:
            call.cancel()


def _train_request(run: Run, folds: Sequence[PlannedFold]) -> trainer.TrainRequest:
    plan, rules = run.plan, run.plan.signal_rules
    return trainer.TrainRequest(
        run_id=str(run.run_id),
        epoch=run.progression.attempt,
        dataset_id=str(plan.dataset.dataset_id),
        version=plan.dataset.version,
        target_column=plan.target,
        feature_columns=plan.features,
        learner=messages.learner(plan.learner, plan.windows),
        folds=[messages.planned_fold(fold) for fold in folds],
        device=run.device,
        bar_interval_ms=plan.dataset.facts.bar_interval_ms,
        own_long_threshold=rules.own_long_threshold,
        own_short_threshold=rules.own_short_threshold,
        signals_when_learned_nothing=rules.signals_when_learned_nothing,
    )


def _simulate_request(simulation: Simulation, folds: Sequence[Fold]) -> simulator.SimulateRequest:
    return simulator.SimulateRequest(
        simulation_id=str(simulation.simulation_id),
        run_id=str(simulation.run_id),
        dataset_id=str(simulation.dataset_id),
        version=simulation.version,
        settings=messages.settings(simulation.settings),
        folds=[
            simulator.FoldThresholds(
                fold=fold.planned.number,
                thresholds=messages.thresholds(fold.result.thresholds),
                learned_nothing=fold.result.learned_nothing,
            )
            for fold in folds
            if fold.result
        ],
    )


def _progress(message: run_pb2.Progress) -> events.Progress:
    return events.Progress(
        fold=message.fold,
        round=message.round,
        rounds=message.rounds,
        train_score=message.train_score,
        validation_score=message.validation_score,
    )


def _from_trainer(message: trainer.TrainResponse) -> events.FromTrainer:
    match message.WhichOneof("event"):
        case "fold_started":
            started = message.fold_started
            return events.FoldStarted(started.fold, started.attempt)
        case "progress":
            return _progress(message.progress)
        case "predictions":
            return events.PredictionsPart(message.predictions.fold, message.predictions.ipc)
        case "model":
            return events.ModelPart(message.model.fold, message.model.data)
        case "fold_completed":
            done = message.fold_completed
            return events.TrainedFold(done.fold, messages.fold_result_from(done.result))
        case "log":
            return events.Log(message.log.text)
        case "environment":
            return _environment(message.environment)
        case "finished":
            return events.Finished()
        case "heartbeat":
            return events.Heartbeat()
        case other:
            raise DataLoss(f"The trainer sent an event of no known kind ({other}).")


def _environment(message: trainer.TrainEnvironment) -> events.Environment:
    return events.Environment(
        {
            "device": message.device,
            "versions": dict(message.versions),
            "threads": message.threads,
            "seed": message.seed,
        }
    )


def _from_simulator(message: simulator.SimulateResponse) -> events.FromSimulator:
    match message.WhichOneof("event"):
        case "trades":
            return events.TradesPart(message.trades.ipc)
        case "equity":
            return events.EquityPart(message.equity.ipc)
        case "result":
            return messages.simulation_result_from(message.result)
        case "heartbeat":
            return events.Heartbeat()
        case other:
            raise DataLoss(f"The simulator sent an event of no known kind ({other}).")
