"""The trainer process as it runs, on the example's bars out of the real dataset service."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from uuid import UUID

import numpy as np
import polars as pl
import pyarrow as pa
import pytest
import xgboost as xgb
from grpc import aio
from numpy.typing import NDArray
from pydantic import SecretStr
from stage1.dataset.v1 import dataset_pb2
from stage1.dataset.v1 import dataset_service_pb2 as rows_pb
from stage1.dataset.v1.dataset_service_pb2_grpc import DatasetServiceStub
from stage1.runs.v1 import plan_pb2
from stage1.runs.v1 import worker_service_pb2 as workers_pb
from stage1.runs.v1.worker_service_pb2_grpc import (
    WorkerServiceServicer,
    add_WorkerServiceServicer_to_server,
)
from stage1.trainer.v1 import trainer_service_pb2 as pb
from stage1.trainer.v1.trainer_service_pb2_grpc import TrainerServiceStub

from services.dataset.__main__ import running as dataset_running
from services.dataset.settings import DatasetSettings
from services.shared.rpc import client
from services.shared.rpc.server import serving
from services.shared.settings import ServerSettings
from services.trainer.__main__ import running
from services.trainer.settings import TrainerSettings
from tests.integration.dataset.client import (
    INDICATORS,
    READ_INDEX_MAP,
    Client,
    euro_files,
    header_of,
)
from tests.unit.dataset.bars import EXAMPLES

if TYPE_CHECKING:
    from stage1.trainer.v1.trainer_service_pb2_grpc import TrainerServiceAsyncStub

TRAIN, FIT, TEST, GAP, STEP = 1500, 1200, 100, 9, 100
TARGET = "TGT_PLANTED"


class Runs(WorkerServiceServicer):
    """Takes registrations."""

    def __init__(self) -> None:
        self.registered: asyncio.Queue[workers_pb.Worker] = asyncio.Queue()

    async def RegisterWorker(
        self, request: workers_pb.RegisterWorkerRequest, context: Any
    ) -> workers_pb.RegisterWorkerResponse:
        self.registered.put_nowait(request.worker)
        return workers_pb.RegisterWorkerResponse()

    async def Heartbeat(
        self, request: workers_pb.HeartbeatRequest, context: Any
    ) -> workers_pb.HeartbeatResponse:
        return workers_pb.HeartbeatResponse()

    async def ListWorkers(
        self, request: workers_pb.ListWorkersRequest, context: Any
    ) -> workers_pb.ListWorkersResponse:
        return workers_pb.ListWorkersResponse()


@dataclass(frozen=True, kw_only=True)
class House:
    """The trainer that registered, and what it is to train on."""

    worker: workers_pb.Worker
    trainer: TrainerServiceAsyncStub
    manifest: dataset_pb2.Manifest
    times: np.ndarray[Any, np.dtype[np.int64]]


@pytest.fixture(scope="module")
async def house(dsn: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[House]:
    runs = Runs()

    def register(server: aio.Server) -> None:
        add_WorkerServiceServicer_to_server(runs, server)

    dataset_settings = DatasetSettings(
        postgres_dsn=SecretStr(dsn),
        data_dir=tmp_path_factory.mktemp("data"),
        listen="127.0.0.1:0",
        drain_seconds=1,
    )
    async with AsyncExitStack() as stack:
        datasets = await stack.enter_async_context(dataset_running(dataset_settings))
        dataset_address = f"127.0.0.1:{datasets.port}"
        channel = await stack.enter_async_context(client.channel(dataset_address))
        dataset = Client(
            stub=DatasetServiceStub(channel), channel=channel, data_dir=dataset_settings.data_dir
        )
        published = await dataset.publish(header_of("eurusd_1h"), *euro_files())
        server = await stack.enter_async_context(serving(ServerSettings(), register))
        await server.ready()
        settings = TrainerSettings(
            listen="127.0.0.1:0",
            dataset_address=dataset_address,
            runs_address=f"127.0.0.1:{server.port}",
            drain_seconds=1,
        )
        await stack.enter_async_context(running(settings))
        worker = await asyncio.wait_for(runs.registered.get(), timeout=30)
        channel = await stack.enter_async_context(client.channel(worker.address))
        index = rows_pb.ReadIndexMapRequest(dataset="eurusd_1h", table=INDICATORS)
        yield House(
            worker=worker,
            trainer=TrainerServiceStub(channel),
            manifest=published.dataset.manifest,
            times=(await dataset.read(READ_INDEX_MAP, index))["timestamp_ms"].to_numpy(),
        )


def window(house: House, start: int, end: int) -> plan_pb2.Window:
    return plan_pb2.Window(
        start_index=start,
        end_index=end,
        start_ts_ms=int(house.times[start]),
        end_ts_ms=int(house.times[end - 1]) + house.manifest.bar_interval_ms,
    )


def planned(house: House, fold: int) -> plan_pb2.PlannedFold:
    start = fold * STEP
    test = start + TRAIN + GAP
    return plan_pb2.PlannedFold(
        fold=fold,
        train=window(house, start, start + TRAIN),
        fit=window(house, start, start + FIT),
        validation=window(house, start + FIT + GAP, start + TRAIN),
        test=window(house, test, test + TEST),
    )


def features(house: House) -> list[str]:
    wanted = dataset_pb2.Column.ROLE_FEATURE
    return [column.name for column in house.manifest.columns if column.role == wanted]


async def train(house: House, *folds: int) -> list[pb.TrainResponse]:
    request = pb.TrainRequest(
        run_id=str(UUID(int=1)),
        epoch=1,
        dataset_id=house.manifest.dataset_id,
        version=house.manifest.version,
        target_column=TARGET,
        feature_columns=features(house),
        learner=plan_pb2.Learner(),
        folds=[planned(house, fold) for fold in folds],
        bar_interval_ms=house.manifest.bar_interval_ms,
    )
    return [event async for event in house.trainer.Train(request)]


def predictions(events: list[pb.TrainResponse], fold: int) -> pa.Table:
    pieces = [e.predictions.ipc for e in events if e.predictions.fold == fold]
    return pa.ipc.open_stream(b"".join(pieces)).read_all()


def test_a_trainer_registers_with_what_it_is(house: House) -> None:
    assert house.worker.kind == workers_pb.Worker.KIND_TRAINER
    assert house.worker.slots == 1
    assert house.worker.memory_bytes > 0
    assert {"stage1", "xgboost"} <= set(house.worker.versions)


async def test_a_fold_is_what_a_loop_of_ones_own_gives(house: House) -> None:
    """XGBoost by hand, on the file as it lies there."""
    events = await train(house, 0, 30)
    file = pl.read_csv(EXAMPLES / "eurusd_1h_2017_indicators.txt", separator=" ")
    table = file.select(features(house)).to_numpy().astype(np.float32)
    target = file[TARGET].to_numpy()
    for fold in (0, 30):
        start = fold * STEP
        fit = slice(start, start + FIT)
        validation = slice(start + FIT + GAP, start + TRAIN)
        test = slice(start + TRAIN + GAP, start + TRAIN + GAP + TEST)
        by_hand = predicted_by_hand(table, target, fit, validation, test)
        found = predictions(events, fold)
        np.testing.assert_array_equal(found["prediction"].to_numpy(), by_hand)
        np.testing.assert_array_equal(found["target"].to_numpy(), target[test])
        np.testing.assert_array_equal(found["timestamp_ms"].to_numpy(), house.times[test])


def predicted_by_hand(
    table: Any, target: Any, fit: slice, validation: slice, test: slice
) -> NDArray[np.float32]:
    said: dict[str, dict[str, list[float]]] = {}
    watched = xgb.DMatrix(table[validation], label=target[validation])
    booster = xgb.train(
        {
            "learning_rate": 0.01,
            "max_depth": 4,
            "min_child_weight": 10,
            "subsample": 0.8,
            "colsample_bytree": 0.7,
            "reg_lambda": 2,
            "seed": 43,
        },
        xgb.DMatrix(table[fit], label=target[fit]),
        500,
        evals=[(watched, "validation")],
        evals_result=said,
        verbose_eval=False,
    )
    scores = said["validation"]["rmse"]
    stop = next(n for n in range(100, 501) if n - 1 - int(np.argmin(scores[:n])) >= 50)
    best = int(np.argmin(scores[:stop]))
    predicted: NDArray[np.float32] = booster.predict(
        xgb.DMatrix(table[test]), iteration_range=(0, best + 1)
    )
    return predicted


async def test_a_run_begun_again_at_a_later_fold_gives_the_same_models(house: House) -> None:
    whole, rest = await train(house, 10, 11), await train(house, 11)
    models = [
        {e.fold_completed.fold: e.fold_completed.result.model_sha256 for e in events}
        for events in (whole, rest)
    ]
    assert models[0][11] == models[1][11] != models[0][10]
