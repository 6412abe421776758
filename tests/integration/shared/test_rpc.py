"""The server and the channel, over a real connection, with the worker service as an example."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any, TypeVar

import pytest
import structlog
from grpc import aio
from grpc_health.v1 import health_pb2, health_pb2_grpc
from pydantic import SecretStr
from stage1.runs.v1 import run_service_pb2 as pb
from stage1.runs.v1 import worker_service_pb2 as workers
from stage1.runs.v1.run_service_pb2_grpc import RunServiceServicer, RunServiceStub
from stage1.runs.v1.run_service_pb2_grpc import add_RunServiceServicer_to_server as add_runs
from stage1.runs.v1.worker_service_pb2_grpc import WorkerServiceServicer, WorkerServiceStub
from stage1.runs.v1.worker_service_pb2_grpc import (
    add_WorkerServiceServicer_to_server as add_workers,
)

from services.shared.errors import (
    Conflict,
    InvalidRequest,
    Stage1Error,
    Unauthenticated,
    Unavailable,
    Violation,
)
from services.shared.rpc import client
from services.shared.rpc.server import serving
from services.shared.rpc.status import refusals
from services.shared.settings import ServerSettings
from tests.fix_rpc import served

Context = aio.ServicerContext[Any, Any]
T = TypeVar("T")


class Workers(WorkerServiceServicer):
    def __init__(self) -> None:
        self.request_ids: list[str] = []

    async def ListWorkers(
        self, request: workers.ListWorkersRequest, context: Context
    ) -> workers.ListWorkersResponse:
        self.request_ids.append(structlog.contextvars.get_contextvars()["request_id"])
        return workers.ListWorkersResponse()

    async def Heartbeat(
        self, request: workers.HeartbeatRequest, context: Context
    ) -> workers.HeartbeatResponse:
        if request.worker_id == "bug":
            raise ZeroDivisionError
        if request.worker_id == "many":
            raise InvalidRequest([Violation("x" * 1000, "ж" * 1000)] * 1000, reason="MANY")
        raise Conflict(f"Worker {request.worker_id} is not known.", reason="WORKER_UNKNOWN")


class Runs(RunServiceServicer):
    def __init__(self) -> None:
        self.watching, self.released = asyncio.Event(), asyncio.Event()

    async def WatchRun(
        self, request: pb.WatchRunRequest, context: Context
    ) -> AsyncIterator[pb.WatchRunResponse]:
        try:
            yield pb.WatchRunResponse()
            self.watching.set()
            await asyncio.Event().wait()
        finally:
            self.released.set()

    async def ReadPredictions(
        self, request: pb.ReadPredictionsRequest, context: Context
    ) -> AsyncIterator[Any]:
        yield pb.ReadPredictionsResponse(ipc=b"first")
        yield pb.ReadPredictionsResponse(ipc=b"second").SerializeToString()


def example(servicer: type[T]) -> T:
    """An instance that leaves out the methods the test does not call."""
    return servicer()


async def test_a_refusal_crosses_the_wire_with_its_reason() -> None:
    async with served(lambda s: add_workers(example(Workers), s)) as channel:
        with pytest.raises(Conflict, match=r"Worker w7 is not known\.") as caught, refusals():
            await WorkerServiceStub(channel).Heartbeat(workers.HeartbeatRequest(worker_id="w7"))
    assert caught.value.reason == "WORKER_UNKNOWN"


async def test_a_refusal_that_says_very_much_arrives_with_its_kind_and_reason() -> None:
    async with served(lambda s: add_workers(example(Workers), s)) as channel:
        with pytest.raises(InvalidRequest) as caught, refusals():
            await WorkerServiceStub(channel).Heartbeat(workers.HeartbeatRequest(worker_id="many"))
        long = workers.HeartbeatRequest(worker_id="é" * 100_000)
        with pytest.raises(Conflict, match=r"…$") as also, refusals():
            await WorkerServiceStub(channel).Heartbeat(long)
    assert (caught.value.reason, also.value.reason) == ("MANY", "WORKER_UNKNOWN")
    assert len(caught.value.violations) == 21
    assert caught.value.violations[-1].message == "and 980 more like these"


async def test_a_crash_is_opaque_outside() -> None:
    async with served(lambda s: add_workers(example(Workers), s)) as channel:
        with pytest.raises(Stage1Error, match="request id") as caught, refusals():
            await WorkerServiceStub(channel).Heartbeat(workers.HeartbeatRequest(worker_id="bug"))
    assert caught.value.reason == "INTERNAL"


async def test_the_request_id_follows_from_process_to_process() -> None:
    servicer = example(Workers)
    async with served(lambda s: add_workers(servicer, s)) as channel:
        with structlog.contextvars.bound_contextvars(request_id="abc.1"):
            await WorkerServiceStub(channel).ListWorkers(workers.ListWorkersRequest())
        await WorkerServiceStub(channel).ListWorkers(workers.ListWorkersRequest())
    assert servicer.request_ids[0] == "abc.1"
    assert len(servicer.request_ids[1]) == 32


async def test_a_call_without_a_deadline_is_refused() -> None:
    async with (
        serving(ServerSettings(), lambda s: add_workers(example(Workers), s)) as server,
        aio.insecure_channel(f"127.0.0.1:{server.port}") as bare,
    ):
        await server.ready()
        with pytest.raises(InvalidRequest, match="deadline"), refusals():
            await WorkerServiceStub(bare).ListWorkers(workers.ListWorkersRequest())


@pytest.mark.parametrize("given", [None, "wrong"])
async def test_a_service_token_is_asked_for_where_there_is_one(given: str | None) -> None:
    settings = ServerSettings(service_token=SecretStr("right"))
    async with serving(settings, lambda s: add_workers(example(Workers), s)) as server:
        await server.ready()
        async with client.channel(f"127.0.0.1:{server.port}", token=given) as channel:
            with pytest.raises(Unauthenticated), refusals():
                await WorkerServiceStub(channel).ListWorkers(workers.ListWorkersRequest())
        async with client.channel(f"127.0.0.1:{server.port}", token="right") as channel:
            await WorkerServiceStub(channel).ListWorkers(workers.ListWorkersRequest())


async def test_a_service_that_is_not_ready_says_so() -> None:
    check = health_pb2.HealthCheckRequest()
    async with (
        serving(ServerSettings(), lambda s: add_workers(example(Workers), s)) as server,
        client.channel(f"127.0.0.1:{server.port}") as channel,
    ):
        health: Any = health_pb2_grpc.HealthStub(channel)
        before = await health.Check(check)
        with pytest.raises(Unavailable, match="starting"), refusals():
            await WorkerServiceStub(channel).ListWorkers(workers.ListWorkersRequest())
        await server.ready()
        after = await health.Check(check)
    answer = health_pb2.HealthCheckResponse
    assert (before.status, after.status) == (answer.NOT_SERVING, answer.SERVING)


async def test_health_can_be_watched() -> None:
    async with served() as channel:
        health: Any = health_pb2_grpc.HealthStub(channel)
        call = health.Watch(health_pb2.HealthCheckRequest())
        assert (await call.read()).status == health_pb2.HealthCheckResponse.SERVING
        call.cancel()


async def test_a_taken_port_is_one_clear_sentence() -> None:
    async with serving(ServerSettings()) as server:
        taken = ServerSettings(listen=f"127.0.0.1:{server.port}")
        with pytest.raises(Unavailable, match=f"127.0.0.1:{server.port}: the port is taken"):
            async with serving(taken):
                pass


async def test_a_drain_ends_watches_and_waits_until_they_have_released() -> None:
    runs = example(Runs)
    async with AsyncExitStack() as outlives_the_server:
        settings = ServerSettings(drain_seconds=30)
        async with serving(settings, lambda s: add_runs(runs, s)) as server:
            await server.ready()
            channel = client.channel(f"127.0.0.1:{server.port}")
            await outlives_the_server.enter_async_context(channel)
            call = RunServiceStub(channel).WatchRun(pb.WatchRunRequest())
            await call.read()
            await runs.watching.wait()
            assert not runs.released.is_set()
        assert runs.released.is_set()


async def test_a_handler_may_yield_messages_that_are_serialized_already() -> None:
    async with served(lambda s: add_runs(example(Runs), s)) as channel:
        call = RunServiceStub(channel).ReadPredictions(pb.ReadPredictionsRequest())
        assert [message.ipc async for message in call] == [b"first", b"second"]
