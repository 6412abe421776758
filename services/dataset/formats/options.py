"""What a reader is asked and what it answers: overrides in, a checked table out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import Final

import pyarrow as pa

NOTHING: Final[Mapping[str, str]] = MappingProxyType({})


class Kind(StrEnum):
    OHLCV = "ohlcv"
    INDICATORS = "indicators"


class Format(StrEnum):
    AUTO = "auto"
    TSSB_MARKET = "tssb_market"
    TSSB_DATABASE = "tssb_database"
    BINANCE_KLINES = "binance_klines"
    KRAKEN_OHLCVT = "kraken_ohlcvt"
    METATRADER = "metatrader"
    HISTDATA = "histdata"
    CSV = "csv"
    PARQUET = "parquet"
    ARROW = "arrow"


class Unit(StrEnum):
    S = "s"
    MS = "ms"
    US = "us"
    NS = "ns"


class DateOrder(StrEnum):
    YMD = "ymd"
    DAY_FIRST = "day_first"
    MONTH_FIRST = "month_first"


class TimeLayout(StrEnum):
    HHMM = "hhmm"
    HHMMSS = "hhmmss"


@dataclass(frozen=True, kw_only=True)
class Options:
    """Overrides of what is otherwise decided from the file; None leaves the decision to it.

    `columns` maps our name to the file's, both for prices (`close` to `Last`) and to rename a
    column on the way in. `text_columns` are kept as text though they hold numbers. `decimal` is
    a point or a comma, `member` a file of a zip archive. `is_intraday`: the bars are known to be
    shorter than a day, so that rows at midnight are no sessions. `max_bytes` bounds the file and
    what comes out of its compression; `max_ratio` bounds the expansion of whatever is larger
    than 16 MiB.
    """

    format: Format = Format.AUTO
    separator: str | None = None
    decimal: str | None = None
    columns: Mapping[str, str] = field(default_factory=lambda: NOTHING)
    text_columns: tuple[str, ...] = ()
    timestamp_column: str | None = None
    unit: Unit | None = None
    zone: str | None = None
    date_order: DateOrder | None = None
    time_layout: TimeLayout | None = None
    market: str | None = None
    member: str | None = None
    is_intraday: bool = False
    max_bytes: int = 4 << 30
    max_ratio: int = 200


@dataclass(frozen=True, kw_only=True)
class Parsed:
    """One file as a table whose rows keep every rule.

    `table` begins with `timestamp_ms` (int64, UTC, strictly increasing). Bars: open, high, low,
    close, volume (float64; volume is all null when the file has none), then what else the file
    holds. Indicators: the file's columns in its order. All others are float64 or string; a
    missing value is null, never NaN. Its batches lie in mapped files that vanish with it.
    `null_counts` names only columns with nulls, counted after `trimmed_head` and `trimmed_tail`
    rows without any value were cut off (indicators only). `used` are the options with every
    guess filled in: given with the same file, they give the same table.
    """

    table: pa.Table
    used: Options
    notes: tuple[str, ...]
    null_counts: Mapping[str, int]
    trimmed_head: int = 0
    trimmed_tail: int = 0

    @property
    def format(self) -> Format:
        return self.used.format
