"""Progress and figures of columns to protobuf."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from stage1.dataset.v1 import dataset_service_pb2 as pb
from stage1.dataset.v1 import import_pb2

from services.dataset.app.describing import Described, Progress, Step
from services.dataset.convert.manifest import ROLE_NUMBERS, TYPE_NUMBERS

_PIECE_COLUMNS: Final = 400  # of 100 bins and long names: under 1 MiB


def description(step: Step) -> Iterator[pb.DescribeColumnsResponse]:
    if isinstance(step, Progress):
        progress = import_pb2.Progress(rows=step.rows, total_rows=step.total_rows)
        yield pb.DescribeColumnsResponse(progress=progress)
        return
    for start in range(0, len(step), _PIECE_COLUMNS):
        columns = [_column(described) for described in step[start : start + _PIECE_COLUMNS]]
        yield pb.DescribeColumnsResponse(columns=columns)


def _column(described: Described) -> import_pb2.ColumnStatistics:
    column, statistics = described
    return import_pb2.ColumnStatistics(
        name=column.name,
        type=TYPE_NUMBERS[column.type],
        role=ROLE_NUMBERS[column.role],
        null_count=statistics.null_count,
        rows=statistics.rows,
        min=statistics.min,
        max=statistics.max,
        mean=statistics.mean,
        std=statistics.std,
        quantiles=statistics.quantiles,
        histogram_edges=statistics.histogram_edges,
        histogram_counts=statistics.histogram_counts,
        distinct=statistics.distinct,
    )
