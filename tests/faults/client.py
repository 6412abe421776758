"""What a careful user of the dataset service does: keys, deadlines, and whole reads."""

from __future__ import annotations

import asyncio
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
from services.shared.errors import Cancelled, Stage1Error
from services.shared.rpc import client
from services.shared.rpc.client import Channel
from services.shared.rpc.status import refusals
from tests.faults.market import INDICATORS, OHLCV, Adopt, Append, Import, Request, hash_of

if TYPE_CHECKING:
    from stage1.dataset.v1.dataset_service_pb2_grpc import DatasetServiceAsyncStub

M = TypeVar("M")
_READ_BARS = "/stage1.dataset.v1.DatasetService/ReadBars"
PATIENCE_SECONDS = 90.0
_READ_SECONDS = 60.0


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


class Asked:
    """A request on its way. The client gives up when the test says so: a deadline would pass
    before the fault where the machine is busy."""

    def __init__(self, call: Any) -> None:
        self._call = call
        self._has_given_up = False
        self.answer = asyncio.create_task(self._answer())

    def give_up(self) -> None:
        self._has_given_up = True
        self._call.cancel()

    async def _answer(self) -> Acknowledged | Stage1Error:
        try:
            with refusals():
                return _acknowledged(await self._call)
        except Stage1Error as error:
            return error
        except asyncio.CancelledError:
            if self._has_given_up:
                return Cancelled("The client gave up.")
            raise


@dataclass(frozen=True)
class Client:
    stub: DatasetServiceAsyncStub
    channel: Channel

    def ask(self, request: Request) -> Asked:
        return Asked(self._call(request))

    def _call(self, request: Request) -> Any:
        match request:
            case Import():
                messages = _sent(request.messages())
                return self.stub.ImportDataset(messages, timeout=PATIENCE_SECONDS)
            case Append():
                return self.stub.AppendBars(_sent(request.messages()), timeout=PATIENCE_SECONDS)
            case Adopt():
                return self.stub.AdoptTables(request.message(), timeout=PATIENCE_SECONDS)

    async def attempt(self, request: Request) -> Acknowledged | Stage1Error:
        return await self.ask(request).answer

    async def found(self, slug: str, *, patient: bool = False) -> pb.GetDatasetResponse:
        """`patient` waits for a connection that was lost before. Raises NotFound."""
        request = pb.GetDatasetRequest(dataset=slug)
        with refusals():
            return await self.stub.GetDataset(
                request, timeout=_READ_SECONDS, wait_for_ready=patient
            )

    async def manifest(self, slug: str, version: int) -> dataset_pb2.Manifest:
        with refusals():
            request = pb.GetManifestRequest(dataset=slug, version=version)
            return (await self.stub.GetManifest(request, timeout=_READ_SECONDS)).manifest

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


def _acknowledged(answer: Any) -> Acknowledged:
    manifest = answer.dataset.manifest
    return Acknowledged(version=manifest.version, content_hash=manifest.content_hash)


async def _sent(messages: Iterable[M]) -> AsyncIterator[M]:
    for message in messages:
        yield message


def _counts_from_0(table: pa.Table) -> bool:
    return bool(np.array_equal(table["index"].to_numpy(), np.arange(table.num_rows)))
