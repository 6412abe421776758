"""Columns, and what stands in them."""

from __future__ import annotations

from pydantic import Field

from gateway.http.schemas.common import Answer, Asked, ColumnNames, Version
from gateway.http.schemas.datasets import Column, Gap, Table


class Statistics(Answer):
    """Over all rows of a version; of text, only what is counted."""

    rows: int
    min: float | None
    max: float | None
    mean: float | None
    std: float | None = Field(description="Of the sample, ddof 1.")
    quantiles: dict[str, float] = Field(
        description="By percent; of an even sample beyond a million values."
    )
    histogram_edges: list[float] = Field(description="One more than counts; equal widths.")
    histogram_counts: list[int]
    distinct: int | None = Field(description="Different texts, at most 1,000 counted.")


class DescribedColumn(Column):
    statistics: Statistics | None


class DescribedColumns(Answer):
    columns: list[DescribedColumn]
    count: int


class ColumnQuery(Asked):
    version: Version | None = Field(default=None, description="Newest without.")
    table: Table | None = Field(default=None, description="Both without.")
    columns: ColumnNames = Field(default_factory=list)
    statistics: bool = Field(default=True, description="false: without, and at once.")
    bins: int = Field(default=20, ge=1, le=100, description="Of the histograms.")


class Features(Answer):
    features: list[Column]
    count: int


class Targets(Answer):
    targets: list[Column]
    count: int


class Gaps(Answer):
    gaps: list[Gap]
    count: int
    missing_slots: int
    calendar: str
    gap_policy: str
