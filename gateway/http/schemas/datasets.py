"""Datasets as clients read and write them."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from gateway.http.schemas.common import (
    Answer,
    Asked,
    ColumnNames,
    Index,
    Iso,
    Milliseconds,
    Page,
    Version,
)

Table = Literal["ohlcv", "indicators"]


class Column(Answer):
    name: str
    type: str = Field(description="float64 or string")
    role: str = Field(description="feature, target, price or extra")
    table: str
    horizon_bars: int | None = Field(description="Bars a target looks ahead, when known.")
    null_count: int


class Gap(Answer):
    after_ms: int
    before_ms: int
    missing: int = Field(description="Expected slots without a bar.")


class Manifest(Answer):
    version: int
    dataset_id: str
    dataset_slug: str
    symbol: str
    granularity: str
    source: str
    bar_interval_ms: int
    lookback_rows: int
    lookahead_rows: int
    first_ohlcv_timestamp_ms: int
    last_ohlcv_timestamp_ms: int
    first_indicator_timestamp_ms: int | None
    last_indicator_timestamp_ms: int | None
    ohlcv_rows: int
    indicator_rows: int
    ohlcv_measurement: str
    indicator_measurement: str | None
    columns: list[Column]
    calendar: str
    timestamp_convention: str
    gap_policy: str
    gaps: list[Gap]
    content_hash: str
    exported_at: Iso
    exported_at_ms: int


class Dataset(Answer):
    """Of the newest version."""

    dataset_id: str
    dataset_slug: str
    symbol: str
    granularity: str
    source: str
    version: int
    content_hash: str
    ohlcv_measurement: str
    indicator_measurement: str | None
    ohlcv_row_count: int
    indicator_row_count: int
    ohlcv_first_ts: int
    ohlcv_last_ts: int
    indicator_first_ts: int | None
    indicator_last_ts: int | None
    metadata: dict[str, str]
    created_at: Iso
    updated_at: Iso


class DatasetDetail(Dataset):
    versions: list[int]
    runs: int
    simulations: int
    manifest: Manifest
    links: dict[str, str]


class DatasetList(Answer):
    datasets: list[Dataset]
    count: int
    next_page_token: str


class DatasetQuery(Page):
    symbol: str = Field(default="", max_length=200)
    granularity: str = Field(default="", max_length=200)
    text: str = Field(default="", max_length=200, description="Part of slug, symbol or source.")


class DeleteQuery(Asked):
    force: bool = Field(default=False, description="Also while a run uses it.")


class DatasetChange(Asked):
    """What is to be said from now on; what is left out stays."""

    symbol: str | None = None
    granularity: str | None = None
    source: str | None = None
    metadata: dict[str, str | None] = Field(
        default_factory=dict, description="Texts to set; null takes a name away."
    )

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if not self.model_fields_set:
            raise ValueError("has nothing that is to change")
        return self


class VersionSummary(Answer):
    """A published version; `/manifest?version=n` has all of it."""

    version: int
    content_hash: str
    ohlcv_measurement: str
    indicator_measurement: str | None
    ohlcv_row_count: int
    indicator_row_count: int
    ohlcv_first_ts: int
    ohlcv_last_ts: int
    indicator_first_ts: int | None
    indicator_last_ts: int | None
    lookback_rows: int
    lookahead_rows: int
    column_count: int
    missing_slots: int
    exported_at: Iso


class VersionList(Answer):
    """Newest first."""

    versions: list[VersionSummary]
    count: int
    next_page_token: str


class EventQuery(Asked):
    dataset: str = Field(default="", max_length=64, description="UUID or slug; all without.")


class VersionsQuery(Asked):
    limit: int = Field(default=50, ge=1, le=1000)
    page_token: str = Field(
        default="", max_length=1024, description="`next_page_token` of the last page."
    )


class VersionQuery(Asked):
    version: Version | None = Field(default=None, description="Newest without.")


class IndexMapQuery(VersionQuery):
    start_idx: Index | None = None
    end_idx: Index | None = Field(default=None, description="Exclusive.")
    type: Literal["indicator", "ohlcv"] = "indicator"
    format: Literal["json", "arrow"] | None = None


class TilesQuery(VersionQuery):
    """A half-open range of times, in so many buckets of equally many rows."""

    table: Table = "ohlcv"
    start_ts_ms: Milliseconds | None = None
    end_ts_ms: Milliseconds | None = None
    buckets: int = Field(default=1000, ge=1, le=20_000)
    columns: ColumnNames = Field(
        default_factory=list, description="At most 64; named as those of rows."
    )
    format: Literal["json", "arrow"] | None = None


class BarsQuery(VersionQuery):
    """Half-open ranges, by index or by time; without one, all rows."""

    start_index: Index | None = None
    end_index: Index | None = None
    start_ts_ms: Milliseconds | None = None
    end_ts_ms: Milliseconds | None = None
    columns: ColumnNames = Field(default_factory=list)
    limit: Index | None = Field(default=None, description="Rows at most; no limit without.")
    offset: Index = Field(default=0, description="Rows of the range to pass over first.")
    desc: bool = Field(default=False, description="Last row first; offset and limit count so too.")
    format: Literal["json", "csv", "arrow", "parquet"] | None = None
