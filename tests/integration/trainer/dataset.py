"""A dataset service that serves one table, as it is or as a test bends it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any

import numpy as np
import pyarrow as pa
from grpc import aio
from stage1.dataset.v1 import dataset_service_pb2 as pb
from stage1.dataset.v1.dataset_service_pb2_grpc import DatasetServiceServicer

from services.shared.arrow_stream import encode
from services.shared.errors import InvalidRequest, Violation
from tests.unit.trainer.examples import BAR_MS, NAMES, Table

Context = aio.ServicerContext[Any, Any]


class OneTable(DatasetServiceServicer):
    def __init__(self, data: Table, *, batch_rows: int = 150) -> None:
        self.times = np.arange(data.target.size) * BAR_MS
        self.columns = dict(zip(NAMES, data.features.T.astype(np.float64), strict=True))
        self.columns["y"] = data.target
        self.batch_rows = batch_rows
        self.read: list[pb.ReadBarsRequest] = []
        self.shift_ms_of_bars = 0
        self.may_answer = asyncio.Event()
        self.may_answer.set()

    @classmethod
    def of(cls, data: Table) -> OneTable:
        """Calls that no trainer makes are left out, which mypy has to be spared."""
        incomplete: Any = cls
        made: OneTable = incomplete(data)
        return made

    async def ReadIndexMap(
        self, request: pb.ReadIndexMapRequest, context: Context
    ) -> AsyncIterator[Any]:
        await self.may_answer.wait()
        async for message in self._sent(request.indices, {}, 0):
            yield message

    async def ReadBars(self, request: pb.ReadBarsRequest, context: Context) -> AsyncIterator[Any]:
        self.read.append(request)
        columns = {name: self.columns[name] for name in request.columns}
        async for message in self._sent(request.indices, columns, self.shift_ms_of_bars):
            yield message

    async def _sent(
        self, rows: pb.IndexRange, columns: dict[str, Any], shift_ms: int
    ) -> AsyncIterator[bytes]:
        if rows.end > self.times.size:
            raise InvalidRequest([Violation("indices", "are outside the table")])
        at = slice(rows.start, rows.end)
        arrays = {
            "index": pa.array(np.arange(rows.start, rows.end)),
            "timestamp_ms": pa.array(self.times[at] + shift_ms),
            **{name: _array(values[at]) for name, values in columns.items()},
        }
        table = pa.table(arrays)

        async def batches() -> AsyncGenerator[pa.RecordBatch]:
            for batch in table.to_batches(max_chunksize=self.batch_rows):
                yield batch

        async for message in encode(table.schema, batches()):
            yield message


def _array(values: Any) -> pa.Array:
    if isinstance(values, np.ndarray):
        return pa.array(values, from_pandas=True)  # NaN is null
    return pa.array(values)
