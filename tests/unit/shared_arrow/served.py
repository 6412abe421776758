"""A server with one data stream, for tests of what guards and reads it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import grpc
import numpy as np
import pyarrow as pa
from grpc import aio
from stage1.dataset.v1 import dataset_service_pb2 as pb

from services.shared.arrow_stream import DataStreams, encode
from services.shared.arrow_stream.guard import STREAM_BYTES
from services.shared.errors import NotFound
from services.shared.rpc.client import Channel, channel
from services.shared.rpc.server import serving
from services.shared.settings import ServerSettings

METHOD = "/stage1.dataset.v1.DatasetService/ReadBars"
BATCH = pa.record_batch({f"c{i}": np.arange(10_000.0) for i in range(10)})
REQUEST = pb.ReadBarsRequest(dataset="x")


class Source:
    """Batches, and word of when they were given back."""

    def __init__(self, batches: int) -> None:
        self._batches = batches
        self.closed = asyncio.Event()

    async def rows(self) -> AsyncGenerator[pa.RecordBatch]:
        try:
            for _ in range(self._batches):
                yield BATCH
        finally:
            self.closed.set()


def handling(read_bars: Any) -> grpc.GenericRpcHandler:
    service, method = METHOD.strip("/").split("/")
    handler = grpc.unary_stream_rpc_method_handler(
        read_bars,
        request_deserializer=pb.ReadBarsRequest.FromString,
        response_serializer=pb.ReadBarsResponse.SerializeToString,
    )
    return grpc.method_handlers_generic_handler(service, {method: handler})


@asynccontextmanager
async def served(
    source: Callable[[], AsyncGenerator[pa.RecordBatch]],
    *,
    streams: int = 32,
    stall_seconds: float = 60.0,
) -> AsyncIterator[Channel]:
    guard = DataStreams(budget_bytes=streams * STREAM_BYTES, stall_seconds=stall_seconds)

    async def read_bars(request: pb.ReadBarsRequest, context: Any) -> None:
        await guard.send(context, encode(BATCH.schema, source()))

    def register(server: aio.Server) -> None:
        server.add_generic_rpc_handlers([handling(read_bars)])

    async with serving(ServerSettings(drain_seconds=0), register) as server:
        await server.ready()
        async with channel(f"127.0.0.1:{server.port}") as opened:
            yield opened


async def failing() -> AsyncGenerator[pa.RecordBatch]:
    yield BATCH
    raise NotFound("There is no bar.", reason="NO_BAR")
