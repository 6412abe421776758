from __future__ import annotations

import asyncio
from typing import Any

from grpc import aio
from stage1.runs.v1 import worker_service_pb2 as pb
from stage1.runs.v1.worker_service_pb2_grpc import WorkerServiceServicer, WorkerServiceStub
from stage1.runs.v1.worker_service_pb2_grpc import (
    add_WorkerServiceServicer_to_server as add_workers,
)

from services.shared.errors import Conflict
from services.shared.registration import stay_registered
from tests.fix_rpc import served

Context = aio.ServicerContext[Any, Any]


class Forgetful(WorkerServiceServicer):
    """Knows a worker for two heartbeats."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.registered_twice = asyncio.Event()

    async def RegisterWorker(
        self, request: pb.RegisterWorkerRequest, context: Context
    ) -> pb.RegisterWorkerResponse:
        self.calls.append("register")
        if self.calls.count("register") == 2:
            self.registered_twice.set()
        return pb.RegisterWorkerResponse()

    async def Heartbeat(
        self, request: pb.HeartbeatRequest, context: Context
    ) -> pb.HeartbeatResponse:
        self.calls.append("heartbeat")
        if self.calls.count("heartbeat") % 2 == 0:
            raise Conflict(f"Worker {request.worker_id} is not known.", reason="WORKER_UNKNOWN")
        return pb.HeartbeatResponse()

    async def ListWorkers(
        self, request: pb.ListWorkersRequest, context: Context
    ) -> pb.ListWorkersResponse:
        return pb.ListWorkersResponse()


async def test_a_worker_that_was_forgotten_registers_again() -> None:
    runs = Forgetful()
    async with served(lambda s: add_workers(runs, s)) as channel:
        staying = asyncio.create_task(
            stay_registered(WorkerServiceStub(channel), pb.Worker(worker_id="w"), every=0.01)
        )
        await asyncio.wait_for(runs.registered_twice.wait(), timeout=30)
        staying.cancel()
    assert runs.calls[:4] == ["register", "heartbeat", "heartbeat", "register"]
