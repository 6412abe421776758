"""What the columns of both tables are for."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

# An answer with all columns of both tables, twice, and every gap fits into one message.
MAX_COLUMNS: Final = 2000
"""Of one file."""
MAX_NAME_BYTES: Final = 127


class Table(StrEnum):
    OHLCV = "ohlcv"
    INDICATORS = "indicators"
    JOINED = "joined"


class Role(StrEnum):
    FEATURE = "feature"
    TARGET = "target"
    PRICE = "price"
    EXTRA = "extra"


class ColumnType(StrEnum):
    FLOAT64 = "float64"
    STRING = "string"


@dataclass(frozen=True, kw_only=True)
class Column:
    """`horizon_bars` is set for targets only, and there only when it is known."""

    name: str
    table: Table
    type: ColumnType
    role: Role
    null_count: int = 0
    horizon_bars: int | None = None


@dataclass(frozen=True)
class Target:
    """A target somebody named, and how far it looks ahead when they said so."""

    name: str
    horizon_bars: int | None
