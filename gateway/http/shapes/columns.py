"""Columns and their statistics, proto to answer."""

from __future__ import annotations

from typing import Final

from stage1.dataset.v1 import dataset_pb2, import_pb2

from gateway.http.schemas import columns as schemas
from gateway.http.shapes.datasets import column, gap
from gateway.http.shapes.words import word

_PERCENTS: Final = ("1", "5", "25", "50", "75", "95", "99")


def described(
    proto: dataset_pb2.Column, figures: import_pb2.ColumnStatistics | None
) -> schemas.DescribedColumn:
    return schemas.DescribedColumn(
        **column(proto).model_dump(), statistics=None if figures is None else _statistics(figures)
    )


def _statistics(proto: import_pb2.ColumnStatistics) -> schemas.Statistics:
    return schemas.Statistics(
        rows=proto.rows,
        min=proto.min if proto.HasField("min") else None,
        max=proto.max if proto.HasField("max") else None,
        mean=proto.mean if proto.HasField("mean") else None,
        std=proto.std if proto.HasField("std") else None,
        quantiles=dict(zip(_PERCENTS, proto.quantiles, strict=False)),
        histogram_edges=list(proto.histogram_edges),
        histogram_counts=list(proto.histogram_counts),
        distinct=proto.distinct if proto.HasField("distinct") else None,
    )


def gaps(held: dataset_pb2.Manifest) -> schemas.Gaps:
    return schemas.Gaps(
        gaps=[gap(g) for g in held.gaps],
        count=len(held.gaps),
        missing_slots=sum(g.missing for g in held.gaps),
        calendar=held.calendar,
        gap_policy=word(dataset_pb2.GapPolicy, held.gap_policy, "GAP_POLICY_"),
    )
