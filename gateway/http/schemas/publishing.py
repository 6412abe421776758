"""What publishing answers: imports, appends, and what became of them."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from gateway.http.schemas.common import Answer, Asked, Iso
from gateway.http.schemas.datasets import Column

ImportState = Literal[
    "RECEIVED",
    "SPOOLED",
    "LOADING",
    "VERIFIED",
    "MERGING",
    "PUBLISHED",
    "CLEANED",
    "REJECTED",
    "ABANDONED",
]


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


class Appended(Imported):
    """The version there is now; it is the one before when nothing was new."""

    appended_ohlcv_rows: int
    appended_indicator_rows: int
    repeated_ohlcv_rows: int = Field(description="Rows that were there, with the same values.")
    repeated_indicator_rows: int


class Sniffed(Answer):
    """What an import would make of a file; the report says why."""

    table: str = Field(description="ohlcv or indicators")
    format: str
    zone: str
    unit: str | None
    date_order: str | None
    time_layout: str | None
    separator: str
    decimal: str
    timestamp_column: str
    rename: dict[str, str]
    text_columns: list[str]
    market: str
    member: str
    rows: int
    first_timestamp_ms: int | None
    last_timestamp_ms: int | None
    calendar: str
    bar_interval_ms: int | None
    report: Report


class Import(Answer):
    import_id: str
    kind: str = Field(description="import, append or adoption")
    dataset_slug: str
    status: str = Field(description="As the filter of the list has it.")
    error: str | None = Field(description="Why it was refused or given up.")
    version: int | None
    created_at: Iso
    updated_at: Iso


class ImportList(Answer):
    imports: list[Import]
    count: int
    next_page_token: str


class ImportQuery(Asked):
    slug: str = Field(default="", max_length=64)
    status: ImportState | None = None
    limit: int = Field(default=50, ge=1, le=1000)
    page_token: str = Field(
        default="", max_length=1024, description="`next_page_token` of the last page."
    )
