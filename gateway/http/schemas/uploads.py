"""Uploads as forms: files, and how to read them. What is left out is guessed and reported."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

from fastapi import UploadFile
from pydantic import BaseModel, BeforeValidator, Field
from starlette.datastructures import UploadFile as SentFile

from gateway.http.problems import MOST_SHOWN
from gateway.http.schemas.common import Asked, Milliseconds, Version
from gateway.http.schemas.datasets import Gap, Table

Format = Literal[
    "auto",
    "tssb_market",
    "tssb_database",
    "csv",
    "parquet",
    "arrow",
    "binance_klines",
    "kraken_ohlcvt",
    "metatrader",
    "histdata",
]
Unit = Literal["auto", "s", "ms", "us", "ns"]
DateOrder = Literal["auto", "day_first", "month_first"]
TimeLayout = Literal["auto", "hhmm", "hhmmss"]
Decimal = Literal["", ".", ","]
GapPolicy = Literal["", "mark", "reject"]
Convention = Literal["", "open", "close"]
JsonObject = Annotated[str, Field(description="JSON object of texts.")]
TextColumns = Annotated[
    str, Field(description="JSON list of columns kept as text though they hold numbers.")
]
Calendar = Annotated[
    str,
    Field(
        max_length=16,
        description="24x7, 24x5_fx, observed, auto, or the code of an exchange as XNYS.",
    ),
]


def _sent(value: Any) -> Any:
    if not isinstance(value, SentFile):
        shown = repr(value) if len(value) <= MOST_SHOWN else f"{value[:MOST_SHOWN]!r}…"
        raise ValueError(f"is the text {shown}, and must be a file")
    return value


File = Annotated[UploadFile, BeforeValidator(_sent)]
_NEW_VERSION: Final = "UUID or slug, to publish a new version of this dataset."
ShortText = Annotated[str, Field(max_length=200)]
Count = Annotated[int, Field(ge=0, lt=2**63)]


class Target(Asked):
    name: str
    horizon_bars: int | None = Field(default=None, ge=1, le=100_000)


class ClaimedColumn(BaseModel):
    name: ShortText
    table: Table | None = None
    type: Literal["float64", "string"] | None = None
    role: Literal["feature", "target", "price", "extra"] | None = None
    horizon_bars: int | None = Field(default=None, ge=1, le=100_000)


class ClaimedManifest(BaseModel):
    """A manifest that comes along. Ids, tables and times of export are ours, and passed over."""

    dataset_slug: ShortText | None = None
    symbol: ShortText | None = None
    granularity: ShortText | None = None
    source: ShortText | None = None
    bar_interval_ms: Count | None = None
    lookback_rows: Count | None = None
    lookahead_rows: Count | None = None
    first_ohlcv_timestamp_ms: Milliseconds | None = None
    last_ohlcv_timestamp_ms: Milliseconds | None = None
    first_indicator_timestamp_ms: Milliseconds | None = None
    last_indicator_timestamp_ms: Milliseconds | None = None
    ohlcv_rows: Count | None = None
    indicator_rows: Count | None = None
    columns: list[ClaimedColumn] = Field(default_factory=list, max_length=4000)
    calendar: ShortText | None = None
    timestamp_convention: Literal["open", "close"] | None = None
    gap_policy: Literal["mark", "reject"] | None = None
    gaps: list[Gap] = Field(default_factory=list, max_length=50_000)
    content_hash: ShortText | None = None

    @property
    def targets(self) -> list[ClaimedColumn]:
        return [column for column in self.columns if column.role == "target"]


class OhlcvOptions(Asked):
    """How to read the bars."""

    ohlcv_format: Format = "auto"
    ohlcv_zone: str = Field(default="", description="IANA name; UTC without.")
    ohlcv_unit: Unit = "auto"
    ohlcv_date_order: DateOrder = "auto"
    ohlcv_time_layout: TimeLayout = "auto"
    ohlcv_separator: str = ""
    ohlcv_decimal: Decimal = ""
    ohlcv_timestamp_column: str = ""
    ohlcv_rename: JsonObject = ""
    ohlcv_text_columns: TextColumns = ""
    ohlcv_market: str = ""
    ohlcv_member: str = Field(default="", description="Which file of a zip archive of several.")


class IndicatorOptions(Asked):
    """How to read the indicators."""

    indicators_format: Format = "auto"
    indicators_zone: str = ""
    indicators_unit: Unit = "auto"
    indicators_date_order: DateOrder = "auto"
    indicators_time_layout: TimeLayout = "auto"
    indicators_separator: str = ""
    indicators_decimal: Decimal = ""
    indicators_timestamp_column: str = ""
    indicators_rename: JsonObject = ""
    indicators_text_columns: TextColumns = ""
    indicators_market: str = ""
    indicators_member: str = ""


class FileOptions(IndicatorOptions, OhlcvOptions):
    """Of both files."""


class Told(Asked):
    """What files do not say of themselves."""

    symbol: str = ""
    granularity: str = ""
    source: str = ""
    calendar: Calendar = ""
    gap_policy: GapPolicy = ""
    timestamp_convention: Convention = ""


class VersionForm(FileOptions, Told):
    """`manifest` (a file or a text) may stand for the fields it has; every figure in
    it is then checked against the rows.
    """

    ohlcv: File = Field(description="Bars; may be packed by gzip or zip.")
    indicators: File | None = Field(default=None, description="May be packed likewise.")
    manifest: UploadFile | str | None = Field(default=None, description="JSON")
    metadata: JsonObject = ""
    targets: str = Field(
        default="", description='JSON list, as [{"name": "TGT", "horizon_bars": 6}].'
    )


class ImportForm(VersionForm):
    """Files, and how to read them."""

    slug: str = Field(default="", examples=["eurusd_1h"])
    dataset_id: str = Field(default="", description=_NEW_VERSION)


class AdoptedTables(Told):
    """Tables that are in the store already, as JSON instead of files."""

    ohlcv_measurement: str = Field(min_length=1, max_length=127)
    indicator_measurement: str = Field(default="", max_length=127)
    metadata: dict[str, str] = Field(default_factory=dict)
    targets: list[Target] = Field(default_factory=list, max_length=2000)


class Adoption(AdoptedTables):
    slug: str
    dataset_id: str = Field(default="", description=_NEW_VERSION)


class AppendForm(FileOptions):
    """New rows for the end of a dataset; those it has already may come again, unchanged."""

    ohlcv: File | None = Field(default=None, description="Bars; may be packed.")
    indicators: File | None = Field(default=None, description="May be packed.")
    gap_policy: GapPolicy = Field(default="", description="As the dataset has it without.")
    expected_version: Version | None = Field(
        default=None, description="Refused unless this is the newest."
    )


class VerifyForm(FileOptions):
    """The files the version was made from; it is then held against them, too."""

    ohlcv: File | None = None
    indicators: File | None = None


class SniffForm(Asked):
    """One file, and what is known of it."""

    file: File = Field(description="May be packed by gzip or zip.")
    table: Table = Field(default="ohlcv", description="What it holds.")
    format: Format = "auto"
    zone: str = ""
    unit: Unit = "auto"
    date_order: DateOrder = "auto"
    time_layout: TimeLayout = "auto"
    separator: str = ""
    decimal: Decimal = ""
    timestamp_column: str = ""
    rename: JsonObject = ""
    text_columns: TextColumns = ""
    market: str = ""
    member: str = ""
    calendar: Calendar = ""
    timestamp_convention: Convention = ""


def or_json(model: type[BaseModel]) -> dict[str, Any]:
    """What a path that takes a form describes besides: the same as JSON."""
    schema = model.model_json_schema()
    known = schema.pop("$defs", {})
    for field in schema["properties"].values():
        if reference := field.get("items", {}).get("$ref"):
            field["items"] = known[reference.rpartition("/")[2]]
    return {"requestBody": {"content": {"application/json": {"schema": schema}}}}
