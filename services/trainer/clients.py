"""The rows of a job, read from the dataset service."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from stage1.dataset.v1 import dataset_service_pb2 as pb
from stage1.dataset.v1.dataset_pb2 import TABLE_INDICATORS, TABLE_JOINED

from services.shared.arrow_stream import each_batch, read_arrow
from services.shared.errors import DataLoss
from services.shared.rpc.client import Channel
from services.trainer.domain import Batch, Floats, Refused, Times, TrainJob

_SERVICE: Final = "/stage1.dataset.v1.DatasetService"


class DatasetRows:
    def __init__(self, channel: Channel) -> None:
        self._channel = channel

    async def times(self, job: TrainJob) -> Times:
        request = pb.ReadIndexMapRequest(
            dataset=job.dataset_id,
            version=job.version,
            table=TABLE_INDICATORS,
            indices=_range(job),
        )
        batches = [b async for b in read_arrow(self._channel, f"{_SERVICE}/ReadIndexMap", request)]
        joined = pa.Table.from_batches(batches) if batches else None
        if joined is None or joined.num_rows != job.end_row - job.first_row:
            raise DataLoss("The index map has another number of rows than the folds span.")
        index = joined["index"].to_numpy()
        if not np.array_equal(index, np.arange(job.first_row, job.end_row)):
            raise DataLoss("The index map leaves out rows that the folds span.")
        times: Times = joined["timestamp_ms"].to_numpy()
        return times

    async def read(self, job: TrainJob, take: Callable[[Batch], None]) -> None:
        names = [*job.recipe.features, job.target]
        request = pb.ReadBarsRequest(
            dataset=job.dataset_id,
            version=job.version,
            table=TABLE_JOINED,
            columns=names,
            indices=_range(job),
        )

        def give(batch: pa.RecordBatch) -> None:
            *features, target = (_floats(batch, name) for name in names)
            take(
                Batch(
                    index=_integers(batch, "index"),
                    timestamp_ms=_integers(batch, "timestamp_ms"),
                    features=features,
                    target=target,
                )
            )

        await each_batch(self._channel, f"{_SERVICE}/ReadBars", request, give)


def _range(job: TrainJob) -> pb.IndexRange:
    return pb.IndexRange(start=job.first_row, end=job.end_row)


def _integers(batch: pa.RecordBatch, name: str) -> NDArray[np.int64]:
    values: NDArray[np.int64] = batch[name].to_numpy()
    return values


def _floats(batch: pa.RecordBatch, name: str) -> Floats:
    """Nulls as NaN. Raises Refused for text: the learner takes numbers."""
    column = batch[name]
    if not pa.types.is_floating(column.type):
        raise Refused(f"Column {name} holds {column.type}, and the learner takes numbers only.")
    values: Floats = column.to_numpy(zero_copy_only=False)
    return values
