"""What a simulation reads from dataset and runs, over gRPC."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, Final
from uuid import UUID

import numpy as np
import pyarrow as pa
from grpc import aio
from stage1.dataset.v1 import dataset_pb2
from stage1.dataset.v1 import dataset_service_pb2 as dataset_pb
from stage1.dataset.v1.dataset_service_pb2_grpc import DatasetServiceStub
from stage1.runs.v1 import run_service_pb2 as run_pb

from services.shared.arrow_stream import read_arrow
from services.shared.errors import DataLoss
from services.shared.rpc.status import refusals
from services.simulator.domain import Bars, History, Predictions

READ_BARS: Final = "/stage1.dataset.v1.DatasetService/ReadBars"
READ_PREDICTIONS: Final = "/stage1.runs.v1.RunService/ReadPredictions"
YEAR_MS: Final = 365.25 * 86_400_000

_BARS: Final = {
    "timestamp_ms": np.int64,
    **dict.fromkeys(("open", "high", "low", "close"), np.float64),
}
_PREDICTIONS: Final = {
    "timestamp_ms": np.int64,
    "bar_index": np.int64,
    "fold": np.int64,
    "prediction": np.float64,
}


class DatasetClient:
    def __init__(self, channel: aio.Channel) -> None:
        self._channel = channel
        self._stub = DatasetServiceStub(channel)

    async def history(self, dataset_id: UUID, version: int, bar_index: int, rows: int) -> History:
        dataset = str(dataset_id)
        with refusals():
            answer = await self._stub.GetManifest(
                dataset_pb.GetManifestRequest(dataset=dataset, version=version)
            )
        manifest = answer.manifest
        first = bar_index + manifest.lookback_rows
        request = dataset_pb.ReadBarsRequest(
            dataset=dataset,
            version=version,
            table=dataset_pb2.TABLE_OHLCV,
            columns=["open", "high", "low", "close"],
            indices=dataset_pb.IndexRange(start=first, end=first + rows),
        )
        read = await _columns(read_arrow(self._channel, READ_BARS, request), _BARS)
        after_gaps = [gap.before_ms for gap in manifest.gaps]
        return History(
            Bars(
                first_ohlcv_index=first,
                after_gap=np.isin(read["timestamp_ms"], after_gaps),
                **read,
            ),
            _bars_per_year(manifest),
        )


class RunClient:
    def __init__(self, channel: aio.Channel) -> None:
        self._channel = channel

    async def predictions(self, run_id: UUID) -> Predictions:
        request = run_pb.ReadPredictionsRequest(run_id=str(run_id), columns=list(_PREDICTIONS))
        batches = read_arrow(self._channel, READ_PREDICTIONS, request)
        read = await _columns(batches, _PREDICTIONS)
        return Predictions(
            bar_index=read["bar_index"],
            timestamp_ms=read["timestamp_ms"],
            fold=read["fold"],
            value=read["prediction"],
        )


async def _columns(
    batches: AsyncIterator[pa.RecordBatch], types: Mapping[str, type[Any]]
) -> dict[str, Any]:
    """The whole stream as arrays of these types, null as NaN; a missing column is a DataLoss."""
    parts: dict[str, list[Any]] = {name: [] for name in types}
    async for batch in batches:
        for name, values in parts.items():
            values.append(_array(batch, name, types[name]))
    return {name: _joined(values, types[name]) for name, values in parts.items()}


def _array(batch: pa.RecordBatch, name: str, kind: type[Any]) -> Any:
    if name not in batch.schema.names:
        raise DataLoss(f"The stream has the columns {batch.schema.names}, and not {name!r}.")
    column = batch.column(name)
    if kind is np.int64 and column.null_count:
        raise DataLoss(f"Column {name!r} has nulls and may have none.")
    return column.to_numpy(zero_copy_only=False).astype(kind, copy=False)


def _joined(parts: Sequence[Any], kind: type[Any]) -> Any:
    return np.concatenate(parts) if parts else np.empty(0, dtype=kind)


def _bars_per_year(manifest: dataset_pb2.Manifest) -> float:
    """As many as there really are: pauses, weekends and gaps count as time without bars."""
    span = manifest.last_ohlcv_timestamp_ms - manifest.first_ohlcv_timestamp_ms
    return (manifest.ohlcv_rows - 1) / (span / YEAR_MS)
