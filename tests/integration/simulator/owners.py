"""Dataset and runs as their contracts say, for a simulator that runs alone.

The e2e test has the real ones; here bars and predictions are chosen by the test.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import grpc
import pyarrow as pa
from google.protobuf.message import Message
from grpc import aio
from stage1.dataset.v1 import dataset_pb2
from stage1.dataset.v1 import dataset_service_pb2 as dataset_pb
from stage1.runs.v1 import run_service_pb2 as run_pb
from stage1.runs.v1 import worker_service_pb2 as workers_pb

from services.shared.arrow_stream import Piece, encode
from services.shared.errors import NotFound
from services.shared.rpc.guards import Context


@dataclass(kw_only=True)
class Owners:
    """What dataset and runs hold, and who has registered."""

    manifest: dataset_pb2.Manifest
    bars: pa.RecordBatch  # index, timestamp_ms, open, high, low, close
    predictions: pa.RecordBatch
    run_id: str
    registered: asyncio.Queue[workers_pb.Worker] = field(default_factory=asyncio.Queue)
    answering: asyncio.Event = field(default_factory=asyncio.Event)

    def register(self, server: aio.Server) -> None:
        """Only the methods that a simulator calls."""
        services = {
            "stage1.dataset.v1.DatasetService": {
                "GetManifest": _unary(self.get_manifest, dataset_pb.GetManifestRequest),
                "ReadBars": _stream(self.read_bars, dataset_pb.ReadBarsRequest),
            },
            "stage1.runs.v1.RunService": {
                "ReadPredictions": _stream(self.read_predictions, run_pb.ReadPredictionsRequest),
            },
            "stage1.runs.v1.WorkerService": {
                "RegisterWorker": _unary(self.register_worker, workers_pb.RegisterWorkerRequest),
            },
        }
        server.add_generic_rpc_handlers(
            [grpc.method_handlers_generic_handler(n, methods) for n, methods in services.items()]
        )

    async def get_manifest(self, request: dataset_pb.GetManifestRequest, context: Context) -> Any:
        return dataset_pb.GetManifestResponse(manifest=self.manifest)

    async def read_bars(
        self, request: dataset_pb.ReadBarsRequest, context: Context
    ) -> AsyncIterator[bytes]:
        start, end = request.indices.start, request.indices.end
        names = ["index", "timestamp_ms", *request.columns]
        async for chunk in _arrow(self.bars.slice(start, end - start).select(names)):
            yield chunk

    async def read_predictions(
        self, request: run_pb.ReadPredictionsRequest, context: Context
    ) -> AsyncIterator[bytes]:
        if request.run_id != self.run_id:
            raise NotFound(f"There is no run {request.run_id}.", reason="RUN_NOT_FOUND")
        await self.answering.wait()
        async for chunk in _arrow(self.predictions.select(list(request.columns))):
            yield chunk

    async def register_worker(
        self, request: workers_pb.RegisterWorkerRequest, context: Context
    ) -> workers_pb.RegisterWorkerResponse:
        self.registered.put_nowait(request.worker)
        return workers_pb.RegisterWorkerResponse()


def _arrow(batch: pa.RecordBatch) -> AsyncIterator[bytes]:
    async def pieces() -> AsyncGenerator[Piece]:
        yield batch

    return encode(batch.schema, pieces())


def _unary(behaviour: Any, request: type[Message]) -> Any:
    return grpc.unary_unary_rpc_method_handler(
        behaviour, request.FromString, lambda message: message.SerializeToString()
    )


def _stream(behaviour: Any, request: type[Message]) -> Any:
    return grpc.unary_stream_rpc_method_handler(behaviour, request.FromString, bytes)
