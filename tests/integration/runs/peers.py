"""Trainers and simulators that a test scripts: they speak the contract and compute nothing real."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, field
from typing import Any
from uuid import uuid4

import numpy as np
import pyarrow as pa
from grpc import aio
from stage1.runs.v1 import plan_pb2, run_pb2, simulation_pb2
from stage1.runs.v1 import worker_service_pb2 as workers
from stage1.simulator.v1 import simulator_service_pb2 as simulator
from stage1.simulator.v1.simulator_service_pb2_grpc import add_SimulatorServiceServicer_to_server
from stage1.trainer.v1 import trainer_service_pb2 as trainer
from stage1.trainer.v1.trainer_service_pb2_grpc import add_TrainerServiceServicer_to_server

from services.runs.clients import messages
from services.shared.arrow_stream import ipc_messages
from services.shared.evaluation import FittedRows, FoldRows, Pair, evaluate
from services.shared.rpc.guards import Context
from services.shared.rpc.server import serving
from services.shared.settings import ServerSettings

HOUR = 3_600_000
Step = Callable[[int], Awaitable[None]]

SENT = pa.schema(
    [
        pa.field("timestamp_ms", pa.int64(), nullable=False),
        pa.field("bar_index", pa.int64(), nullable=False),
        pa.field("prediction", pa.float64(), nullable=False),
        pa.field("target", pa.float64()),
    ]
)


async def at_once(fold: int) -> None:
    """Nothing to wait for."""


def rows_of(planned: plan_pb2.PlannedFold) -> FoldRows:
    """What the scripted trainer predicts for a fold; a function of its rows alone."""
    bars = np.arange(planned.test.start_index, planned.test.end_index)
    return FoldRows(
        bar_index=bars,
        prediction=np.sin(bars / 7.0),
        target=np.cos(bars / 5.0),
        thresholds={
            "percentile": Pair(0.5, -0.5),
            "optimal": Pair(None, None),
            "zero": Pair(0.0, 0.0),
        },
        fitted_mean=0.25,
        gives_signals=planned.fold != 1,
    )


def result_of(planned: plan_pb2.PlannedFold) -> run_pb2.FoldResult:
    rows = rows_of(planned)
    evaluated = evaluate(rows, FittedRows(rows.prediction, rows.target))
    return run_pb2.FoldResult(
        best_iteration=100 + planned.fold,
        best_score=0.5,
        constant_score=0.6,
        learned_nothing=planned.fold == 1,
        thresholds=run_pb2.Thresholds(long_percentile=0.5, short_percentile=-0.5),
        metrics=messages.struct(asdict(evaluated)),
        importances={"RSI": 1.5},
        device="cpu",
        seconds=0.01,
        fit_rows=planned.fit.end_index - planned.fit.start_index,
        validation_rows=planned.validation.end_index - planned.validation.start_index,
        test_rows=rows.bar_index.size,
        fit_target_mean=0.25,
    )


def predictions_of(planned: plan_pb2.PlannedFold) -> pa.RecordBatch:
    rows = rows_of(planned)
    times = planned.test.start_ts_ms + HOUR * np.arange(rows.bar_index.size)
    return pa.record_batch([times, rows.bar_index, rows.prediction, rows.target], schema=SENT)


@dataclass
class ScriptedTrainer:
    """Before a fold it awaits `step`, which may raise, wait, or end the call."""

    step: Step = at_once
    model_bytes: int = 100
    asked: list[trainer.TrainRequest] = field(default_factory=list)
    cancelled: asyncio.Event = field(default_factory=asyncio.Event)

    async def Train(
        self, request: trainer.TrainRequest, context: Context
    ) -> AsyncIterator[trainer.TrainResponse]:
        self.asked.append(request)
        environment = trainer.TrainEnvironment(device="cpu", versions={"x": "1"}, threads=2, seed=7)
        try:
            yield trainer.TrainResponse(environment=environment)
            for planned in request.folds:
                async for response in self._fold(planned):
                    yield response
            yield trainer.TrainResponse(finished=trainer.TrainFinished())
        except asyncio.CancelledError:
            self.cancelled.set()
            raise

    async def _fold(self, planned: plan_pb2.PlannedFold) -> AsyncIterator[trainer.TrainResponse]:
        number = planned.fold
        yield trainer.TrainResponse(fold_started=run_pb2.FoldStarted(fold=number))
        for done in (1, 2):
            told = run_pb2.Progress(fold=number, round=done, rounds=2, train_score=0.5)
            yield trainer.TrainResponse(progress=told)
        await self.step(number)
        for ipc in ipc_messages(SENT, [predictions_of(planned)]):
            part = trainer.PredictionsPart(fold=number, ipc=ipc)
            yield trainer.TrainResponse(predictions=part)
        for _ in range(2):
            data = bytes([number]) * (self.model_bytes // 2)
            yield trainer.TrainResponse(model=trainer.ModelPart(fold=number, data=data))
        done_fold = trainer.TrainedFold(fold=number, result=result_of(planned))
        yield trainer.TrainResponse(fold_completed=done_fold)

    def register(self, server: aio.Server) -> None:
        servicer: Any = self
        add_TrainerServiceServicer_to_server(servicer, server)


TRADES = pa.schema(
    [
        pa.field("timestamp_ms", pa.int64(), nullable=False),
        pa.field("trade_id", pa.int64(), nullable=False),
        pa.field("side", pa.string(), nullable=False),
        pa.field("fold", pa.int32(), nullable=False),
        pa.field("pnl", pa.float64(), nullable=False),
    ]
)
EQUITY = pa.schema(
    [
        pa.field("timestamp_ms", pa.int64(), nullable=False),
        pa.field("equity", pa.float64(), nullable=False),
        pa.field("position", pa.int8(), nullable=False),
    ]
)


def trades() -> pa.RecordBatch:
    return pa.record_batch(
        [[0, HOUR, HOUR], [0, 1, 2], ["long", "short", "long"], [0, 0, 1], [1.0, -2.0, 3.0]],
        schema=TRADES,
    )


def equity() -> pa.RecordBatch:
    return pa.record_batch(
        [[0, HOUR, 2 * HOUR], [1000.0, 1001.0, 1002.0], [0, 1, -1]], schema=EQUITY
    )


def simulated() -> simulation_pb2.SimulationResult:
    figures = simulation_pb2.PerformanceMetrics(trades=3, total_return=0.002, sharpe=1.5)
    buckets = [
        simulation_pb2.TradeBucket(
            side="long", trades=2, wins=2, pnl=4.0, exit_reasons={"signal": 2}
        ),
        simulation_pb2.TradeBucket(side="short", trades=1, losses=1, pnl=-2.0),
    ]
    return simulation_pb2.SimulationResult(
        all=figures,
        long_only=figures,
        short_only=figures,
        buy_hold=figures,
        buckets=buckets,
        bars=3,
        bars_per_year=8766.0,
        warnings=["Costs are zero."],
    )


@dataclass
class ScriptedSimulator:
    step: Step = at_once
    asked: list[simulator.SimulateRequest] = field(default_factory=list)
    cancelled: asyncio.Event = field(default_factory=asyncio.Event)

    async def Simulate(
        self, request: simulator.SimulateRequest, context: Context
    ) -> AsyncIterator[simulator.SimulateResponse]:
        self.asked.append(request)
        try:
            yield simulator.SimulateResponse(heartbeat=run_pb2.Heartbeat())
            for ipc in ipc_messages(TRADES, [trades()]):
                yield simulator.SimulateResponse(trades=simulator.TradesPart(ipc=ipc))
            await self.step(len(self.asked))
            for ipc in ipc_messages(EQUITY, [equity()]):
                yield simulator.SimulateResponse(equity=simulator.EquityPart(ipc=ipc))
            yield simulator.SimulateResponse(result=simulated())
        except asyncio.CancelledError:
            self.cancelled.set()
            raise

    def register(self, server: aio.Server) -> None:
        servicer: Any = self
        add_SimulatorServiceServicer_to_server(servicer, server)


@asynccontextmanager
async def listening(peer: ScriptedTrainer | ScriptedSimulator) -> AsyncIterator[workers.Worker]:
    """The peer behind a real server, as it would register."""
    settings = ServerSettings(drain_seconds=0.1)
    async with serving(settings, peer.register) as server:
        await server.ready()
        is_trainer = isinstance(peer, ScriptedTrainer)
        yield workers.Worker(
            worker_id=str(uuid4()),
            kind=workers.Worker.KIND_TRAINER if is_trainer else workers.Worker.KIND_SIMULATOR,
            address=f"127.0.0.1:{server.port}",
            device="cpu",
            memory_bytes=1 << 30,
            slots=1,
            versions={"stage1": "0.1.0"},
        )
