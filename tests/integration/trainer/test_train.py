from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pytest
from grpc import aio
from stage1.dataset.v1.dataset_pb2 import TABLE_JOINED
from stage1.dataset.v1.dataset_service_pb2_grpc import add_DatasetServiceServicer_to_server
from stage1.trainer.v1 import trainer_service_pb2 as pb
from stage1.trainer.v1.trainer_service_pb2_grpc import (
    TrainerServiceStub,
    add_TrainerServiceServicer_to_server,
)

from services.shared.errors import Conflict, DataLoss, Exhausted, InvalidRequest, Stage1Error
from services.shared.rpc import status
from services.trainer.app import Trainer
from services.trainer.clients import DatasetRows
from services.trainer.domain import Device, Learner
from services.trainer.servicer import TrainerServicer
from services.trainer.worker import Workers
from tests.fix_rpc import served
from tests.integration.trainer.dataset import OneTable
from tests.unit.trainer.examples import table, trained
from tests.unit.trainer.requests import request

if TYPE_CHECKING:
    from stage1.trainer.v1.trainer_service_pb2_grpc import TrainerServiceAsyncStub

ENDLESS = Learner(num_boost_round=100_000, early_stopping_rounds=100_000)


@dataclass(frozen=True)
class Running:
    trainer: TrainerServiceAsyncStub
    dataset: OneTable

    async def train(self, asked: pb.TrainRequest) -> list[pb.TrainResponse]:
        with status.refusals():
            return [event async for event in self.trainer.Train(asked)]

    async def refusal(self, asked: pb.TrainRequest) -> Stage1Error:
        with pytest.raises(Stage1Error) as caught:
            await self.train(asked)
        return caught.value


@pytest.fixture
async def running(workers: Workers) -> AsyncIterator[Running]:
    data = table(900)
    data.target[510] = np.nan
    dataset = OneTable.of(data)
    async with AsyncExitStack() as stack:
        rows = await stack.enter_async_context(
            served(lambda server: add_DatasetServiceServicer_to_server(dataset, server))
        )
        trainer = Trainer(workers=workers, rows=DatasetRows(rows))
        servicer = TrainerServicer(trainer, heartbeat_seconds=0.05)
        channel = await stack.enter_async_context(
            served(lambda server: add_TrainerServiceServicer_to_server(servicer, server))
        )
        yield Running(TrainerServiceStub(channel), dataset)


def named(events: list[pb.TrainResponse]) -> list[str]:
    """Their kinds in order; heartbeats and progress come as time has it."""
    kinds = [str(event.WhichOneof("event")) for event in events]
    return [kind for kind in kinds if kind not in ("heartbeat", "progress")]


async def test_folds_come_one_by_one_with_everything_before_their_completion(
    running: Running,
) -> None:
    events = await running.train(request(folds=2))
    one_fold = ["fold_started", *["predictions"] * 3, "model", "fold_completed"]
    assert named(events) == ["environment", "log", *one_fold, *one_fold, "finished"]
    numbers = [e.fold_completed.fold for e in events if e.HasField("fold_completed")]
    assert numbers == [0, 1]


async def test_what_is_streamed_is_what_the_rows_give(running: Running) -> None:
    events = await running.train(request())
    data = table(900)
    data.target[510] = np.nan
    expected = trained(data)
    pieces = b"".join(e.predictions.ipc for e in events)
    predictions = pa.ipc.open_stream(pieces).read_all()
    np.testing.assert_array_equal(predictions["prediction"].to_numpy(), expected.prediction)
    assert predictions["timestamp_ms"].to_pylist() == running.dataset.times[506:606].tolist()
    assert predictions["target"][4].as_py() is None
    assert b"".join(e.model.data for e in events) == expected.model
    (result,) = [e.fold_completed.result for e in events if e.HasField("fold_completed")]
    assert result.model_sha256 == expected.model_sha256
    assert result.best_iteration == expected.best_iteration


async def test_only_the_rows_and_columns_of_the_folds_are_read(running: Running) -> None:
    asked = request(folds=2)
    del asked.folds[0]
    await running.train(asked)
    (read,) = running.dataset.read
    assert (read.indices.start, read.indices.end) == (100, 706)
    assert (list(read.columns), read.table) == (["a", "b", "c", "d", "y"], TABLE_JOINED)
    assert (read.dataset, read.version) == (asked.dataset_id, 1)


async def test_a_fold_that_starts_later_is_the_same_when_trained_alone(running: Running) -> None:
    both = request(folds=2)
    alone = request(folds=2)
    del alone.folds[0]
    ends = [(await running.train(asked))[-2].fold_completed.result for asked in (both, alone)]
    assert ends[0].model_sha256 == ends[1].model_sha256


async def test_the_environment_tells_what_is_needed_to_repeat_a_run(running: Running) -> None:
    environment = (await running.train(request()))[0].environment
    assert environment.device in ("cpu", "cuda")
    assert {"xgboost", "numpy", "python"} <= set(environment.versions)
    assert (environment.threads, environment.seed) == (2, 43)


async def test_folds_planned_on_other_rows_are_refused_before_any_training(
    running: Running,
) -> None:
    running.dataset.times[400:] += 1
    error = await running.refusal(request())
    assert (type(error), error.reason) == (Conflict, "FOLD_TIMES_DISAGREE")
    assert running.dataset.read == []


async def test_bars_that_are_not_those_of_the_index_map_are_refused(running: Running) -> None:
    running.dataset.shift_ms_of_bars = 1
    assert type(await running.refusal(request())) is DataLoss


async def test_what_the_dataset_refuses_is_passed_on(running: Running) -> None:
    asked = request(folds=5)
    assert isinstance(await running.refusal(asked), InvalidRequest)


async def test_a_column_of_text_is_refused(running: Running) -> None:
    running.dataset.columns["b"] = ["x"] * 900
    error = await running.refusal(request())
    assert "Column b" in str(error)


async def test_a_malformed_request_names_its_fields(running: Running) -> None:
    asked = request()
    asked.run_id = "seven"
    error = await running.refusal(asked)
    assert isinstance(error, InvalidRequest)
    assert [v.field for v in error.violations] == ["run_id"]


async def test_cuda_is_refused_by_a_trainer_without(running: Running, workers: Workers) -> None:
    if workers.capabilities.device is Device.CUDA:
        pytest.skip("A GPU answers here.")
    asked = request()
    asked.device = "cuda"
    assert (await running.refusal(asked)).reason == "DEVICE_UNAVAILABLE"


async def test_heartbeats_fill_the_silence(running: Running) -> None:
    running.dataset.may_answer.clear()
    call = running.trainer.Train(request())
    kinds = [(await anext(aiter(call))).WhichOneof("event") for _ in range(3)]
    assert kinds == ["environment", "heartbeat", "heartbeat"]
    running.dataset.may_answer.set()
    assert [event.WhichOneof("event") async for event in call][-1] == "finished"


async def test_progress_is_told_during_a_fold(running: Running) -> None:
    call = running.trainer.Train(request(learner=ENDLESS))
    progress = (await first(call, lambda event: event.HasField("progress"))).progress
    assert (progress.fold, progress.rounds) == (0, 100_000)
    assert 0 < progress.round < 100_000
    assert progress.train_score > 0
    call.cancel()


async def first(
    call: aio.UnaryStreamCall[pb.TrainRequest, pb.TrainResponse],
    wanted: Callable[[pb.TrainResponse], bool],
) -> pb.TrainResponse:
    async for event in call:
        if wanted(event):
            return event
    raise AssertionError("The stream ended before.")


async def test_a_cancelled_call_frees_the_trainer(running: Running) -> None:
    call = running.trainer.Train(request(learner=ENDLESS))
    await first(call, lambda event: event.HasField("progress"))
    assert isinstance(await running.refusal(request()), Exhausted)
    call.cancel()
    async with asyncio.timeout(30):
        while True:
            try:
                events = await running.train(request())
                break
            except Exhausted:  # the cancellation is on its way
                await asyncio.sleep(0.01)
    assert named(events)[-1] == "finished"
