"""How a trainer or simulator makes itself known to `runs`, and stays known."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

import structlog
from stage1.runs.v1 import worker_service_pb2 as pb

from services.shared.errors import Stage1Error
from services.shared.rpc.status import refusals

if TYPE_CHECKING:
    from stage1.runs.v1.worker_service_pb2_grpc import WorkerServiceAsyncStub

HEARTBEAT_SECONDS: Final = 5.0
_LONGEST_PAUSE: Final = 5.0

log = structlog.get_logger()


async def stay_registered(
    workers: WorkerServiceAsyncStub, worker: pb.Worker, *, every: float = HEARTBEAT_SECONDS
) -> None:
    """Register and send heartbeats until cancelled, however often `runs` goes and comes back."""
    pause = 0.2
    while True:
        try:
            with refusals():
                await workers.RegisterWorker(pb.RegisterWorkerRequest(worker=worker))
                log.info("worker_registered", worker_id=worker.worker_id, address=worker.address)
                pause = 0.2
                while True:
                    await asyncio.sleep(every)
                    await workers.Heartbeat(pb.HeartbeatRequest(worker_id=worker.worker_id))
        except Stage1Error as error:
            log.warning("worker_not_registered", reason=error.reason, error=str(error))
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)
