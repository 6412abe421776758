"""A dataset service in this process, and what a client of it does."""

from __future__ import annotations

import io
from collections.abc import AsyncIterator, Awaitable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np
import pyarrow as pa
from pydantic import SecretStr
from stage1.dataset.v1 import dataset_pb2, import_pb2
from stage1.dataset.v1 import dataset_service_pb2 as pb
from stage1.dataset.v1.dataset_service_pb2_grpc import DatasetServiceStub

from services.dataset.__main__ import running
from services.dataset.settings import DatasetSettings
from services.shared.arrow_stream import read_ipc
from services.shared.rpc import client
from services.shared.rpc.client import Channel
from services.shared.rpc.status import refusals
from tests.unit.dataset.bars import EXAMPLES, hourly

if TYPE_CHECKING:
    from stage1.dataset.v1.dataset_service_pb2_grpc import DatasetServiceAsyncStub

Answer = TypeVar("Answer")

READ_BARS = "/stage1.dataset.v1.DatasetService/ReadBars"
READ_INDEX_MAP = "/stage1.dataset.v1.DatasetService/ReadIndexMap"
OHLCV, INDICATORS, JOINED = (
    dataset_pb2.TABLE_OHLCV,
    dataset_pb2.TABLE_INDICATORS,
    dataset_pb2.TABLE_JOINED,
)


@dataclass(frozen=True, kw_only=True)
class Client:
    stub: DatasetServiceAsyncStub
    channel: Channel
    data_dir: Path

    async def ask(self, call: Awaitable[Answer]) -> Answer:
        """Raises what the service raises."""
        with refusals():
            return await call

    async def publish(
        self, header: import_pb2.ImportHeader, *parts: bytes, cut: int = 1 << 20
    ) -> pb.ImportDatasetResponse:
        return await self.ask(self.stub.ImportDataset(requests(header, parts, cut)))

    async def read(
        self, method: str, request: pb.ReadBarsRequest | pb.ReadIndexMapRequest
    ) -> pa.Table:
        parts = [bytes(part) async for part in read_ipc(self.channel, method, request)]
        return pa.ipc.open_stream(b"".join(parts)).read_all()

    async def bars(self, dataset: str, version: int = 0) -> pa.Table:
        request = pb.ReadBarsRequest(dataset=dataset, version=version, table=OHLCV)
        return await self.read(READ_BARS, request)

    def leftovers(self) -> set[str]:
        """Names of series tables and of uploads on the disk."""
        folder = self.data_dir / "dataset"
        found = [*(folder / "series").iterdir(), *(folder / "spool").iterdir()]
        return {path.name for path in found if not path.name.startswith(".")}


@asynccontextmanager
async def dataset_service(
    dsn: str, data_dir: Path, *, max_upload_bytes: int = 1 << 30
) -> AsyncIterator[Client]:
    settings = DatasetSettings(
        postgres_dsn=SecretStr(dsn),
        data_dir=data_dir,
        listen="127.0.0.1:0",
        drain_seconds=1,
        max_upload_bytes=max_upload_bytes,
    )
    async with (
        running(settings) as server,
        client.channel(f"127.0.0.1:{server.port}", token=None) as channel,
    ):
        yield Client(stub=DatasetServiceStub(channel), channel=channel, data_dir=data_dir)


async def requests(
    header: import_pb2.ImportHeader, parts: Sequence[bytes], cut: int
) -> AsyncIterator[pb.ImportDatasetRequest]:
    yield pb.ImportDatasetRequest(header=header)
    for part, data in enumerate(parts):
        for start in range(0, len(data), cut):
            piece = pb.PartBytes(part=part, data=data[start : start + cut])
            yield pb.ImportDatasetRequest(bytes=piece)


def header_of(slug: str, *tables: dataset_pb2.Table.ValueType) -> import_pb2.ImportHeader:
    parts = [import_pb2.ImportPart(table=table) for table in tables or (OHLCV, INDICATORS)]
    return import_pb2.ImportHeader(slug=slug, symbol="BTCUSD", source="test", parts=parts)


def bar_file(times: np.ndarray, *, seed: int = 7, **extra: np.ndarray) -> bytes:
    """Arrow IPC bars of a random walk."""
    close = 100 + np.cumsum(np.random.default_rng(seed).normal(0, 0.1, len(times)))
    opened = np.concatenate([[100.0], close[:-1]])
    columns = {
        "open": opened,
        "high": np.maximum(opened, close) + 0.05,
        "low": np.minimum(opened, close) - 0.05,
        "close": close,
        "volume": np.arange(len(times), dtype=np.float64) + 1,
    }
    return arrow_file({"timestamp_ms": times, **columns, **extra})


def indicator_file(times: np.ndarray, *, seed: int = 8, **extra: object) -> bytes:
    noise = np.random.default_rng(seed).normal(size=(3, len(times)))
    columns = {"RSI": noise[0], "ADX": noise[1], "TGT_6": noise[2]}
    return arrow_file({"timestamp_ms": times, **columns, **extra})


def arrow_file(columns: dict[str, object]) -> bytes:
    table = pa.table(columns)
    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return sink.getvalue()


def euro_files() -> tuple[bytes, bytes]:
    return (
        (EXAMPLES / "eurusd_1h_2017_ask.csv").read_bytes(),
        (EXAMPLES / "eurusd_1h_2017_indicators.txt").read_bytes(),
    )


BARS_10K = hourly(10_000)
