"""A dataset service in a process of its own on real stores, for the benchmarks."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from grpc import aio
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse
from grpc_health.v1.health_pb2_grpc import HealthStub
from stage1.dataset.v1 import dataset_pb2, import_pb2
from stage1.dataset.v1 import dataset_service_pb2 as pb
from stage1.dataset.v1.dataset_service_pb2_grpc import DatasetServiceStub

from services.shared import embedded, questdb_server
from services.shared.malloc import MALLOC_ENVIRONMENT
from services.shared.rpc import client
from services.shared.rpc.client import Channel

READ_BARS: Final = "/stage1.dataset.v1.DatasetService/ReadBars"
PIECE_BYTES: Final = 1 << 20
MAX_UPLOAD_BYTES: Final = 64 << 30


@dataclass(frozen=True, kw_only=True)
class Stores:
    """Addresses of real servers, and a folder."""

    folder: Path
    dsn: str
    questdb_url: str


@dataclass(frozen=True, kw_only=True)
class House:
    stub: Any
    channel: Channel
    pid: int

    async def publish(self, slug: str, bars: Path) -> pb.ImportDatasetResponse:
        answer: pb.ImportDatasetResponse = await self.stub.ImportDataset(_import(slug, bars))
        return answer

    async def append(self, slug: str, bars: Path) -> pb.AppendBarsResponse:
        answer: pb.AppendBarsResponse = await self.stub.AppendBars(_append(slug, bars))
        return answer

    async def delete(self, slug: str) -> None:
        await self.stub.DeleteDataset(pb.DeleteDatasetRequest(dataset=slug, force=True))


@contextmanager
def stores() -> Iterator[Stores]:
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="stage1-bench-")))
        database = stack.enter_context(embedded.postgres(folder / "postgres"))
        questdb = stack.enter_context(questdb_server.running(folder / "questdb"))
        yield Stores(folder=folder, dsn=database.dsn, questdb_url=questdb.url)


@asynccontextmanager
async def dataset(stores: Stores, series: str) -> AsyncIterator[House]:
    port = questdb_server.free_port()
    environment = {
        **os.environ,
        **MALLOC_ENVIRONMENT,
        "STAGE1_POSTGRES_DSN": stores.dsn,
        "STAGE1_DATA_DIR": str(stores.folder / series),
        "STAGE1_LISTEN": f"127.0.0.1:{port}",
        "STAGE1_SERIES": series,
        "STAGE1_QUESTDB_URL": stores.questdb_url,
        "STAGE1_MAX_UPLOAD_BYTES": str(MAX_UPLOAD_BYTES),
        "STAGE1_LOG_LEVEL": "error",
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "services.dataset", env=environment
    )
    try:
        async with client.channel(f"127.0.0.1:{port}", token=None) as channel:
            await _serving(port, process)
            yield House(stub=DatasetServiceStub(channel), channel=channel, pid=process.pid)
    finally:
        with suppress(ProcessLookupError):
            process.terminate()
        await process.wait()


async def _serving(port: int, process: asyncio.subprocess.Process) -> None:
    async with aio.insecure_channel(f"127.0.0.1:{port}") as channel, asyncio.timeout(60):
        health: Any = HealthStub(channel)
        while process.returncode is None:
            with suppress(aio.AioRpcError):  # it does not listen yet
                answer = await health.Check(HealthCheckRequest(), timeout=1)
                if answer.status == HealthCheckResponse.SERVING:
                    return
            await asyncio.sleep(0.05)
        raise RuntimeError(f"The dataset service ended with status {process.returncode}.")


async def _import(slug: str, bars: Path) -> AsyncIterator[pb.ImportDatasetRequest]:
    yield pb.ImportDatasetRequest(
        header=import_pb2.ImportHeader(
            slug=slug, symbol="BENCH", parts=[_part(bars)], calendar="24x7"
        )
    )
    for piece in _pieces(bars):
        yield pb.ImportDatasetRequest(bytes=piece)


async def _append(slug: str, bars: Path) -> AsyncIterator[pb.AppendBarsRequest]:
    yield pb.AppendBarsRequest(header=import_pb2.AppendHeader(dataset=slug, parts=[_part(bars)]))
    for piece in _pieces(bars):
        yield pb.AppendBarsRequest(bytes=piece)


def _part(bars: Path) -> import_pb2.ImportPart:
    return import_pb2.ImportPart(table=dataset_pb2.TABLE_OHLCV, file_name=bars.name)


def _pieces(path: Path) -> Iterator[pb.PartBytes]:
    with path.open("rb") as file:
        while data := file.read(PIECE_BYTES):
            yield pb.PartBytes(part=0, data=data)
