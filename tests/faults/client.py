"""What a careful user of the dataset service does: keys, deadlines, and whole reads."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import pyarrow as pa
from stage1.dataset.v1 import dataset_pb2
from stage1.dataset.v1 import dataset_service_pb2 as pb
from stage1.dataset.v1.dataset_service_pb2_grpc import DatasetServiceStub

from services.shared.arrow_stream import read_ipc
from services.shared.canonical import content_hash
from services.shared.errors import Stage1Error
from services.shared.rpc import client
from services.shared.rpc.client import Channel
from services.shared.rpc.status import refusals
from tests.faults.market import INDICATORS, OHLCV, Import, Request, hash_of

if TYPE_CHECKING:
    from stage1.dataset.v1.dataset_service_pb2_grpc import DatasetServiceAsyncStub

M = TypeVar("M")
_READ_BARS = "/stage1.dataset.v1.DatasetService/ReadBars"
PATIENCE_SECONDS = 90.0


@dataclass(frozen=True, kw_only=True)
class Acknowledged:
    version: int
    content_hash: str


@dataclass(frozen=True, kw_only=True)
class Seen:
    """A version read back whole."""

    version: int
    rows: tuple[int, int]
    content_hash: str
    is_sound: bool
    """Manifest, row counts and indices say the same as the rows."""


@dataclass(frozen=True)
class Client:
    stub: DatasetServiceAsyncStub
    channel: Channel

    async def publish(self, request: Request, *, seconds: float = PATIENCE_SECONDS) -> Acknowledged:
        """Raises what the service raises."""
        with refusals():
            answer = await self.call(request, seconds=seconds)
        manifest = answer.dataset.manifest
        return Acknowledged(version=manifest.version, content_hash=manifest.content_hash)

    def call(self, request: Request, *, seconds: float = PATIENCE_SECONDS) -> Any:
        if isinstance(request, Import):
            return self.stub.ImportDataset(_sent(request.messages()), timeout=seconds)
        return self.stub.AppendBars(_sent(request.messages()), timeout=seconds)

    async def attempt(
        self, request: Request, *, seconds: float = PATIENCE_SECONDS
    ) -> Acknowledged | Stage1Error:
        try:
            return await self.publish(request, seconds=seconds)
        except Stage1Error as error:
            return error

    async def found(self, slug: str, *, patient: bool = False) -> pb.GetDatasetResponse:
        """`patient` waits for a connection that was lost before. Raises NotFound."""
        request = pb.GetDatasetRequest(dataset=slug)
        with refusals():
            return await self.stub.GetDataset(request, timeout=10, wait_for_ready=patient)

    async def manifest(self, slug: str, version: int) -> dataset_pb2.Manifest:
        with refusals():
            request = pb.GetManifestRequest(dataset=slug, version=version)
            return (await self.stub.GetManifest(request, timeout=10)).manifest

    async def read(self, slug: str, version: int) -> Seen:
        manifest = await self.manifest(slug, version)
        bars = await self._table(slug, version, OHLCV)
        indicators = await self._table(slug, version, INDICATORS)
        found = content_hash(hash_of(bars.drop("index")), hash_of(indicators.drop("index")))
        rows = bars.num_rows, indicators.num_rows
        return Seen(
            version=version,
            rows=rows,
            content_hash=found,
            is_sound=found == manifest.content_hash
            and rows == (manifest.ohlcv_rows, manifest.indicator_rows)
            and _counts_from_0(bars)
            and _counts_from_0(indicators),
        )

    async def _table(self, slug: str, version: int, table: dataset_pb2.Table.ValueType) -> pa.Table:
        request = pb.ReadBarsRequest(dataset=slug, version=version, table=table)
        parts = [bytes(part) async for part in read_ipc(self.channel, _READ_BARS, request)]
        return pa.ipc.open_stream(b"".join(parts)).read_all()


@asynccontextmanager
async def client_of(port: int) -> AsyncIterator[Client]:
    async with client.channel(f"127.0.0.1:{port}", token=None) as channel:
        yield Client(DatasetServiceStub(channel), channel)


async def _sent(messages: Iterable[M]) -> AsyncIterator[M]:
    for message in messages:
        yield message


def _counts_from_0(table: pa.Table) -> bool:
    return bool(np.array_equal(table["index"].to_numpy(), np.arange(table.num_rows)))
