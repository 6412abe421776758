"""The simulator process: `python -m services.simulator`."""

from __future__ import annotations

import asyncio
import os
import platform
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version
from typing import Final
from uuid import uuid4

from grpc import aio
from stage1.runs.v1 import worker_service_pb2 as workers_pb
from stage1.runs.v1.worker_service_pb2_grpc import WorkerServiceStub
from stage1.simulator.v1.simulator_service_pb2_grpc import add_SimulatorServiceServicer_to_server

from services.shared.arrow_stream import DataStreams
from services.shared.process import run_service
from services.shared.registration import stay_registered
from services.shared.rpc import client
from services.shared.rpc.server import Server, serving
from services.simulator.app import Simulator, warm_up
from services.simulator.clients import DatasetClient, RunClient
from services.simulator.servicer import SimulatorServicer
from services.simulator.settings import SimulatorSettings

SERVICE: Final = "stage1.simulator.v1.SimulatorService"


@asynccontextmanager
async def running(settings: SimulatorSettings) -> AsyncIterator[Server]:
    """A simulator that serves and stays registered until the block ends."""
    async with (
        client.channel(settings.dataset_address, token=settings.token) as dataset,
        client.channel(settings.runs_address, token=settings.token) as runs,
    ):
        simulator = Simulator(
            datasets=DatasetClient(dataset), runs=RunClient(runs), slots=settings.slots
        )
        servicer = SimulatorServicer(simulator, DataStreams())

        def register(server: aio.Server) -> None:
            add_SimulatorServiceServicer_to_server(servicer, server)

        async with serving(settings, register, services=[SERVICE]) as server:
            await asyncio.to_thread(warm_up)
            await server.ready()
            worker = _worker(settings, server.port)
            registering = asyncio.create_task(stay_registered(WorkerServiceStub(runs), worker))
            try:
                yield server
            finally:
                registering.cancel()


def _worker(settings: SimulatorSettings, port: int) -> workers_pb.Worker:
    versions = {name: version(name) for name in ("stage1", "numba", "numpy", "pyarrow")}
    return workers_pb.Worker(
        worker_id=str(uuid4()),
        kind=workers_pb.Worker.KIND_SIMULATOR,
        address=settings.advertise or f"127.0.0.1:{port}",
        device="cpu",
        memory_bytes=os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        slots=settings.slots,
        versions=versions | {"python": platform.python_version()},
    )


if __name__ == "__main__":
    run_service("simulator", SimulatorSettings, running)
