"""The service as a process: any order of starts, and an orderly end."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from grpc import aio
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse
from grpc_health.v1.health_pb2_grpc import HealthStub
from stage1.dataset.v1 import dataset_service_pb2 as pb
from stage1.dataset.v1.dataset_service_pb2_grpc import DatasetServiceStub

from services.shared import embedded
from services.shared.rpc import client
from tests.integration.dataset.client import Client, bar_file, header_of, indicator_file
from tests.unit.dataset.bars import hourly

TIMES = hourly(300)


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port: int = taken.getsockname()[1]
        return port


@asynccontextmanager
async def process(dsn: str, data_dir: Path, port: int) -> AsyncIterator[asyncio.subprocess.Process]:
    environment = os.environ | {
        "STAGE1_POSTGRES_DSN": dsn,
        "STAGE1_DATA_DIR": str(data_dir),
        "STAGE1_LISTEN": f"127.0.0.1:{port}",
    }
    started = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "services.dataset", env=environment
    )
    try:
        yield started
    finally:
        if started.returncode is None:
            started.kill()
        await started.wait()


async def becomes(channel: aio.Channel, status: int) -> None:
    stub: Any = HealthStub(channel)  # its types leave the calls out
    async with asyncio.timeout(60):
        while True:
            answer = await stub.Check(HealthCheckRequest(), timeout=60, wait_for_ready=True)
            if answer.status == status:
                return
            await asyncio.sleep(0.05)


async def test_it_waits_for_postgres_serves_and_ends_when_told(tmp_path: Path) -> None:
    with embedded.postgres(tmp_path / "postgres") as server:
        dsn = server.dsn
    port = free_port()
    async with (
        process(dsn, tmp_path / "data", port) as running,
        aio.insecure_channel(f"127.0.0.1:{port}") as health,
        client.channel(f"127.0.0.1:{port}", token=None) as channel,
    ):
        await becomes(health, HealthCheckResponse.NOT_SERVING)
        with embedded.postgres(tmp_path / "postgres"):
            await becomes(health, HealthCheckResponse.SERVING)
            service = Client(
                stub=DatasetServiceStub(channel), channel=channel, data_dir=tmp_path / "data"
            )
            files = bar_file(TIMES), indicator_file(TIMES[50:290])
            answer = await service.publish(header_of("by_process"), *files)
            request = pb.GetDatasetRequest(dataset="by_process")
            found = await service.ask(service.stub.GetDataset(request))
            assert found.dataset == answer.dataset
            assert (await service.bars("by_process")).num_rows == 300
            running.send_signal(signal.SIGTERM)
            assert await running.wait() == 0


async def test_a_killed_process_is_followed_by_one_with_the_same_data(
    dsn: str, tmp_path: Path
) -> None:
    port = free_port()
    async with (
        aio.insecure_channel(f"127.0.0.1:{port}") as health,
        client.channel(f"127.0.0.1:{port}", token=None) as channel,
    ):
        service = Client(stub=DatasetServiceStub(channel), channel=channel, data_dir=tmp_path)
        async with process(dsn, tmp_path, port) as first:
            await becomes(health, HealthCheckResponse.SERVING)
            await service.publish(
                header_of("survivor"), bar_file(TIMES), indicator_file(TIMES[50:290])
            )
            before = await service.bars("survivor")
            first.kill()
            await first.wait()
        async with process(dsn, tmp_path, port):
            await becomes(health, HealthCheckResponse.SERVING)
            assert (await service.bars("survivor")).equals(before)
