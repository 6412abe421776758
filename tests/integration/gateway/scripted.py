"""Peers that do what real ones do only in bad hours: fail half-way, send for ever, stay silent."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final, TypeVar

import numpy as np
import pyarrow as pa
from google.protobuf.struct_pb2 import Struct
from grpc import aio
from stage1.dataset.v1 import dataset_pb2
from stage1.dataset.v1 import dataset_service_pb2 as pb
from stage1.dataset.v1.dataset_service_pb2_grpc import (
    DatasetServiceServicer,
    add_DatasetServiceServicer_to_server,
)
from stage1.runs.v1 import plan_pb2, run_pb2
from stage1.runs.v1 import run_service_pb2 as runs_pb
from stage1.runs.v1.run_service_pb2_grpc import RunServiceServicer, add_RunServiceServicer_to_server

from services.shared.arrow_stream import encode
from services.shared.errors import DataLoss, DeadlineExceeded, Stage1Error
from services.shared.rpc.guards import metadata
from services.shared.rpc.server import serving
from services.shared.settings import ServerSettings

ROWS: Final = 1_000_000
COLUMNS: Final = 10
BATCH: Final = 10_000
Context = aio.ServicerContext[Any, Any]
Servicer = TypeVar("Servicer")


class ManyBars(DatasetServiceServicer):
    """A table too large to hold, made as it is read; an upload is counted, not kept."""

    def __init__(self, *, fails_after: int = ROWS, refuses_after: int | None = None) -> None:
        self.sent_rows = 0
        self.uploaded_bytes = 0
        self.request_ids: list[str | None] = []
        self._fails_after = fails_after
        self._refuses_after = refuses_after

    async def GetManifest(
        self, request: pb.GetManifestRequest, context: Context
    ) -> pb.GetManifestResponse:
        self.request_ids.append(metadata(context, "x-request-id"))
        manifest = dataset_pb2.Manifest(
            version=1, dataset_id=request.dataset, ohlcv_rows=ROWS, ohlcv_measurement="bars"
        )
        return pb.GetManifestResponse(manifest=manifest)

    async def ReadBars(self, request: pb.ReadBarsRequest, context: Context) -> AsyncIterator[Any]:
        names = [f"c{i}" for i in range(COLUMNS)]
        schema = pa.schema([("index", pa.int64()), *((n, pa.float64()) for n in names)])
        async for message in encode(schema, self._batches(schema, request.indices)):
            yield message

    async def _batches(
        self, schema: pa.Schema, rows: pb.IndexRange
    ) -> AsyncGenerator[pa.RecordBatch]:
        noise = np.random.default_rng(1).normal(size=BATCH)
        for start in range(rows.start, rows.end, BATCH):
            if start >= self._fails_after:
                raise DataLoss("The stored rows are not what was written.")
            index = np.arange(start, min(start + BATCH, rows.end))
            columns = [noise[: len(index)]] * COLUMNS
            self.sent_rows += len(index)
            yield pa.record_batch([index, *columns], schema=schema)

    async def ImportDataset(
        self, requests: AsyncIterator[pb.ImportDatasetRequest], context: Context
    ) -> pb.ImportDatasetResponse:
        async for request in requests:
            self.uploaded_bytes += len(request.bytes.data)
            if self._refuses_after is not None and self.uploaded_bytes >= self._refuses_after:
                raise DataLoss("The disk is gone.", reason="DISK_GONE")
        return pb.ImportDatasetResponse(dataset=dataset_pb2.Dataset(dataset_id="x", slug="x"))


Step = run_pb2.Event | Stage1Error | None


class ToldRun(RunServiceServicer):
    """A run whose events and failures are told, one watch after the other; None is silence."""

    def __init__(self, *watches: Sequence[Step]) -> None:
        self.asked_after: list[int] = []
        self.left = asyncio.Event()
        self._watches = iter(watches)

    async def GetRun(
        self, request: runs_pb.GetRunRequest, context: Context
    ) -> runs_pb.GetRunResponse:
        run = run_pb2.Run(run_id=request.run_id, state=run_pb2.Run.STATE_RUNNING)
        return runs_pb.GetRunResponse(run=run)

    async def WatchRun(
        self, request: runs_pb.WatchRunRequest, context: Context
    ) -> AsyncIterator[runs_pb.WatchRunResponse]:
        self.asked_after.append(request.after_sequence)
        try:
            for step in next(self._watches):
                if isinstance(step, Stage1Error):
                    raise step
                if step is None:
                    await asyncio.Event().wait()
                yield runs_pb.WatchRunResponse(event=step)
        finally:
            self.left.set()


def _struct(**numbers: int) -> Struct:
    found = Struct()
    found.update(numbers)
    return found


class ManyFolds(RunServiceServicer):
    """A run of so many stored folds; every page after the first waits until it may go."""

    def __init__(self, count: int) -> None:
        self.may_go_on = asyncio.Event()
        self._folds = [
            run_pb2.Fold(
                planned=plan_pb2.PlannedFold(fold=number),
                result=run_pb2.FoldResult(metrics=_struct(n_judged=number)),
            )
            for number in range(count)
        ]

    async def GetRun(
        self, request: runs_pb.GetRunRequest, context: Context
    ) -> runs_pb.GetRunResponse:
        run = run_pb2.Run(run_id=request.run_id, state=run_pb2.Run.STATE_COMPLETED)
        return runs_pb.GetRunResponse(run=run)

    async def ListFolds(
        self, request: runs_pb.ListFoldsRequest, context: Context
    ) -> runs_pb.ListFoldsResponse:
        start = int(request.page_token or 0)
        if start:
            await self.may_go_on.wait()
        end = start + request.page_size
        more = str(end) if end < len(self._folds) else ""
        return runs_pb.ListFoldsResponse(folds=self._folds[start:end], next_page_token=more)


def state(sequence: int, name: str) -> run_pb2.Event:
    return run_pb2.Event(sequence=sequence, state_changed=run_pb2.StateChanged(state=name))


HEARTBEAT: Final = run_pb2.Event(heartbeat=run_pb2.Heartbeat())
DEADLINE: Final = DeadlineExceeded("The watch is over.")


@asynccontextmanager
async def peer(*register: Callable[[aio.Server], None]) -> AsyncIterator[str]:
    """The address of a server with these services."""
    async with serving(ServerSettings(drain_seconds=1), *register) as server:
        await server.ready()
        yield f"127.0.0.1:{server.port}"


def example(servicer: type[Servicer], *script: Any, **options: Any) -> Servicer:
    """An instance that leaves out the methods the test does not call."""
    return servicer(*script, **options)


def bars(servicer: ManyBars) -> Callable[[aio.Server], None]:
    return lambda server: add_DatasetServiceServicer_to_server(servicer, server)


def run(servicer: RunServiceServicer) -> Callable[[aio.Server], None]:
    return lambda server: add_RunServiceServicer_to_server(servicer, server)
