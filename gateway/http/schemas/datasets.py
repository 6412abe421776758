"""Datasets as clients read and write them."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import UploadFile
from pydantic import BaseModel, Field

from gateway.http.schemas.common import Answer, Asked, Index, Iso, Milliseconds, Page, Version


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


class VersionQuery(Asked):
    version: Version | None = Field(default=None, description="Newest without.")


class IndexMapQuery(VersionQuery):
    start_idx: Index | None = None
    end_idx: Index | None = Field(default=None, description="Exclusive.")
    type: Literal["indicator", "ohlcv"] = "indicator"
    format: Literal["json", "arrow"] | None = None


class BarsQuery(VersionQuery):
    """Half-open ranges, by index or by time; without one, all rows."""

    start_index: Index | None = None
    end_index: Index | None = None
    start_ts_ms: Milliseconds | None = None
    end_ts_ms: Milliseconds | None = None
    columns: str = Field(default="", max_length=65536, description="Names, separated by commas.")
    limit: Index | None = Field(default=None, description="Rows at most; no limit without.")
    offset: Index = Field(default=0, description="Rows of the range to pass over first.")
    format: Literal["json", "arrow"] | None = None


class Report(Answer):
    notes: list[str]
    warnings: list[str]
    columns: list[Column]
    trimmed_head_rows: int
    trimmed_tail_rows: int
    missing_slots: int


class Imported(Answer):
    dataset_id: str
    dataset_slug: str
    version: int
    ohlcv_measurement: str
    indicator_measurement: str | None
    report: Report


class Target(Asked):
    name: str
    horizon_bars: int | None = Field(default=None, ge=1, le=100_000)


class ClaimedColumn(BaseModel):
    name: str
    role: Literal["feature", "target", "price", "extra"] | None = None
    horizon_bars: int | None = Field(default=None, ge=1, le=100_000)


Count = Annotated[int, Field(ge=0, lt=2**63)]


class ClaimedManifest(BaseModel):
    """A manifest that comes along. Ids, tables and times of export are ours, and passed over."""

    dataset_slug: str | None = None
    symbol: str | None = None
    granularity: str | None = None
    source: str | None = None
    bar_interval_ms: Count | None = None
    lookback_rows: Count | None = None
    lookahead_rows: Count | None = None
    first_ohlcv_timestamp_ms: Milliseconds | None = None
    last_ohlcv_timestamp_ms: Milliseconds | None = None
    first_indicator_timestamp_ms: Milliseconds | None = None
    last_indicator_timestamp_ms: Milliseconds | None = None
    ohlcv_rows: Count | None = None
    indicator_rows: Count | None = None
    columns: list[ClaimedColumn] = Field(default_factory=list)
    calendar: str | None = None
    timestamp_convention: Literal["open", "close"] | None = None
    gap_policy: Literal["mark", "reject"] | None = None
    gaps: list[Gap] = Field(default_factory=list)
    content_hash: str | None = None

    @property
    def targets(self) -> list[ClaimedColumn]:
        return [column for column in self.columns if column.role == "target"]


Format = Literal["auto", "tssb_market", "tssb_database", "csv", "parquet", "arrow"]
Unit = Literal["auto", "s", "ms", "us", "ns"]
DateOrder = Literal["auto", "day_first", "month_first"]
TimeLayout = Literal["auto", "hhmm", "hhmmss"]
JsonObject = Annotated[str, Field(description="JSON object of texts.")]


class ImportForm(Asked):
    """Files, and how to read them; what is left out is guessed and said in the report.

    `manifest` (a file or a text) may stand for the fields it has; every figure in
    it is then checked against the rows.
    """

    ohlcv: UploadFile = Field(description="Bars; may be gzipped.")
    indicators: UploadFile | None = Field(default=None, description="May be gzipped.")
    manifest: UploadFile | str | None = Field(default=None, description="JSON")
    slug: str = Field(default="", examples=["eurusd_1h"])
    dataset_id: str = Field(default="", description="To publish a new version of this dataset.")
    symbol: str = ""
    granularity: str = ""
    source: str = ""
    calendar: Literal["", "auto", "24x7", "24x5_fx", "observed"] = ""
    gap_policy: Literal["", "mark", "reject"] = ""
    timestamp_convention: Literal["", "open", "close"] = ""
    metadata: JsonObject = ""
    targets: str = Field(
        default="", description='JSON list, as [{"name": "TGT", "horizon_bars": 6}].'
    )
    ohlcv_format: Format = "auto"
    ohlcv_zone: str = Field(default="", description="IANA name; UTC without.")
    ohlcv_unit: Unit = "auto"
    ohlcv_date_order: DateOrder = "auto"
    ohlcv_time_layout: TimeLayout = "auto"
    ohlcv_separator: str = ""
    ohlcv_timestamp_column: str = ""
    ohlcv_rename: JsonObject = ""
    ohlcv_market: str = ""
    indicators_format: Format = "auto"
    indicators_zone: str = ""
    indicators_unit: Unit = "auto"
    indicators_date_order: DateOrder = "auto"
    indicators_time_layout: TimeLayout = "auto"
    indicators_separator: str = ""
    indicators_timestamp_column: str = ""
    indicators_rename: JsonObject = ""
    indicators_market: str = ""
