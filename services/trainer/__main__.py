"""The trainer process: `python -m services.trainer`."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final
from uuid import uuid4

from grpc import aio
from stage1.runs.v1 import worker_service_pb2 as workers_pb
from stage1.runs.v1.worker_service_pb2_grpc import WorkerServiceStub
from stage1.trainer.v1.trainer_service_pb2_grpc import add_TrainerServiceServicer_to_server

from services.shared.process import run_service
from services.shared.registration import stay_registered
from services.shared.rpc import client
from services.shared.rpc.server import Server, serving
from services.trainer.app import Trainer
from services.trainer.clients import DatasetRows
from services.trainer.domain import Capabilities, Device
from services.trainer.servicer import TrainerServicer
from services.trainer.settings import TrainerSettings
from services.trainer.worker import Workers

SERVICE: Final = "stage1.trainer.v1.TrainerService"


@asynccontextmanager
async def running(settings: TrainerSettings) -> AsyncIterator[Server]:
    """A trainer that serves and stays registered until the block ends.

    Raises Refused when the device of the settings is not there.
    """
    workers = Workers(
        slots=settings.slots,
        threads=settings.threads_per_worker,
        device=None if settings.device == "auto" else Device(settings.device),
    )
    async with (
        client.channel(settings.dataset_address, token=settings.token) as dataset,
        client.channel(settings.runs_address, token=settings.token) as runs,
    ):
        servicer = TrainerServicer(Trainer(workers=workers, rows=DatasetRows(dataset)))

        def register(server: aio.Server) -> None:
            add_TrainerServiceServicer_to_server(servicer, server)

        try:
            async with serving(settings, register, services=[SERVICE]) as server:
                await workers.start()
                await server.ready()
                worker = _worker(settings, server.port, workers.capabilities)
                registering = asyncio.create_task(stay_registered(WorkerServiceStub(runs), worker))
                try:
                    yield server
                finally:
                    registering.cancel()
        finally:
            await workers.stop()


def _worker(settings: TrainerSettings, port: int, capabilities: Capabilities) -> workers_pb.Worker:
    return workers_pb.Worker(
        worker_id=str(uuid4()),
        kind=workers_pb.Worker.KIND_TRAINER,
        address=settings.advertise or f"127.0.0.1:{port}",
        device=capabilities.device,
        memory_bytes=os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        slots=settings.slots,
        versions=capabilities.versions,
    )


if __name__ == "__main__":
    run_service("trainer", TrainerSettings, running)
