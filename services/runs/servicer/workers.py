"""WorkerService: read the request, one call, write the answer."""

from __future__ import annotations

from stage1.runs.v1 import worker_service_pb2 as pb
from stage1.runs.v1.worker_service_pb2_grpc import WorkerServiceServicer

from services.runs.app.workers import Workers
from services.runs.convert import workers as convert
from services.runs.convert.checks import only_uuid
from services.shared.rpc.guards import Context


class WorkerServicer(WorkerServiceServicer):
    def __init__(self, workers: Workers) -> None:
        self._workers = workers

    async def RegisterWorker(
        self, request: pb.RegisterWorkerRequest, context: Context
    ) -> pb.RegisterWorkerResponse:
        await self._workers.register(convert.worker_from(request.worker))
        return pb.RegisterWorkerResponse()

    async def Heartbeat(
        self, request: pb.HeartbeatRequest, context: Context
    ) -> pb.HeartbeatResponse:
        await self._workers.heartbeat(only_uuid("worker_id", request.worker_id))
        return pb.HeartbeatResponse()

    async def ListWorkers(
        self, request: pb.ListWorkersRequest, context: Context
    ) -> pb.ListWorkersResponse:
        alive = await self._workers.alive()
        return pb.ListWorkersResponse(workers=map(convert.worker, alive))
