"""Layouts of bar files that are known by their shape: what their columns are and mean."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from services.dataset.formats.columns import BARS, plain
from services.dataset.formats.options import Format, Kind, Options
from services.dataset.formats.refusal import named, refused

_VALUE: Final = re.compile(r"[+-]?[0-9][0-9.,:/ T+-]*(e[+-]?[0-9]+|Z)?", re.IGNORECASE)
_KLINES: Final = (
    "open_time",
    *BARS,
    "close_time",
    "quote_volume",
    "trades",
    "taker_buy_volume",
    "taker_buy_quote_volume",
    "ignore",
)
_KLINES_BEGIN: Final = ("open_time", *BARS, "close_time")
_METATRADER_HEADER: Final = ("<DATE>", "<OPEN>", "<HIGH>", "<LOW>", "<CLOSE>")
_TITLES: Final = MappingProxyType(
    {
        Format.TSSB_MARKET: "TSSB market history",
        Format.BINANCE_KLINES: "file of Binance klines",
        Format.KRAKEN_OHLCVT: "file of Kraken OHLCVT",
        Format.METATRADER: "file of MetaTrader",
        Format.HISTDATA: "file of HistData",
    }
)
NO_ZONE: Final = MappingProxyType(
    {
        Format.METATRADER: "MetaTrader writes the time of the broker's server, whatever that is",
        Format.HISTDATA: "HistData writes New York's winter time all year, Etc/GMT+5",
    }
)


@dataclass(frozen=True, kw_only=True)
class Layout:
    """`names` of the columns from the first on, of which some are left out."""

    format: Format
    names: tuple[str, ...]
    has_header: bool
    left_out: tuple[str, ...] = ()
    why: str


@dataclass(frozen=True, kw_only=True)
class _Shape:
    """How the first line of a file without a header begins, and how many fields it has."""

    format: Format
    begins: tuple[str, ...]
    names: tuple[str, ...]
    left_out: tuple[str, ...] = ()
    why: str

    def fits(self, fields: Sequence[str]) -> bool:
        return len(fields) == len(self.names) and all(
            re.fullmatch(pattern, field)
            for pattern, field in zip(self.begins, fields, strict=False)
        )


_SHAPES: Final = (
    _Shape(
        format=Format.TSSB_MARKET,
        begins=(r"\d{8}",),
        names=("Date", *BARS),
        why="TSSB market history: no header, 6 fields, the first a date as YYYYMMDD.",
    ),
    _Shape(
        format=Format.TSSB_MARKET,
        begins=(r"\d{8}", r"\d{1,6}"),
        names=("Date", "Time", *BARS),
        why="TSSB market history: no header, 7 fields, the first a date as YYYYMMDD.",
    ),
    _Shape(
        format=Format.BINANCE_KLINES,
        begins=(r"\d{12,16}", *([r"[^,]*"] * 5), r"\d{12,16}"),
        names=_KLINES,
        left_out=("close_time", "ignore"),
        why="Binance klines: no header, 12 fields, the first and the seventh moments.",
    ),
    _Shape(
        format=Format.KRAKEN_OHLCVT,
        begins=(r"\d{9,10}",),
        names=("unix", *BARS, "trades"),
        why="Kraken OHLCVT: no header, 7 fields, the first a moment in seconds.",
    ),
    _Shape(
        format=Format.METATRADER,
        begins=(r"\d{4}\.\d{2}\.\d{2}", r"\d{2}:\d{2}(:\d{2})?"),
        names=("Date", "Time", *BARS),
        why="MetaTrader: no header, 7 fields, a date as YYYY.MM.DD and a time as HH:MM.",
    ),
    _Shape(
        format=Format.HISTDATA,
        begins=(r"\d{8} \d{6}",),
        names=("Date", *BARS),
        why="HistData: no header, 6 fields, the first YYYYMMDD HHMMSS.",
    ),
)
_HEADED: Final = (
    Format.AUTO,
    Format.CSV,
    Format.TSSB_DATABASE,
    Format.BINANCE_KLINES,
    Format.METATRADER,
)


def layout_of(first: Sequence[str], kind: Kind, options: Options) -> Layout:
    """Of the fields of the first line. Raises FileRefused."""
    # No name of a column begins like a date or number.
    if _VALUE.fullmatch(next(filter(None, first), "")):
        return _without_header(first, kind, options)
    if options.format not in _HEADED:
        raise refused(
            f"is no {_TITLES[options.format]}, which has no header: it begins {named(first)}"
        )
    return _with_header(tuple(first), kind, options)


def _without_header(first: Sequence[str], kind: Kind, options: Options) -> Layout:
    asked = options.format
    shape = next((s for s in _SHAPES if s.fits(first) and asked in (Format.AUTO, s.format)), None)
    if kind is Kind.INDICATORS or shape is None:
        raise refused(
            "has no header with column names; only bars as TSSB, Binance, Kraken, MetaTrader and "
            f"HistData write them need none, and the first line of this file is {named(first)}"
        )
    return Layout(
        format=shape.format,
        names=shape.names,
        has_header=False,
        left_out=shape.left_out,
        why=shape.why,
    )


def _with_header(names: tuple[str, ...], kind: Kind, options: Options) -> Layout:
    asked = options.format
    klines = len(names) == len(_KLINES) and (
        tuple(plain(name) for name in names[: len(_KLINES_BEGIN)]) == _KLINES_BEGIN
    )
    if kind is Kind.OHLCV and klines and asked in (Format.AUTO, Format.BINANCE_KLINES):
        return Layout(
            format=Format.BINANCE_KLINES,
            names=_KLINES,
            has_header=True,
            left_out=("close_time", "ignore"),
            why="Binance klines: a header of 12 columns from open_time to ignore.",
        )
    metatrader = {*_METATRADER_HEADER} <= {name.upper() for name in names}
    if kind is Kind.OHLCV and metatrader and asked in (Format.AUTO, Format.METATRADER):
        return Layout(
            format=Format.METATRADER,
            names=names,
            has_header=True,
            why="MetaTrader: a header with names such as <DATE> and <OPEN>.",
        )
    if asked in (Format.BINANCE_KLINES, Format.METATRADER):
        raise refused(f"is no {_TITLES[asked]}: its columns are {named(names)}")
    why = "CSV with a header, as given." if asked is Format.CSV else ""
    return Layout(
        format=Format.CSV,
        names=names,
        has_header=True,
        why=why or "CSV: the first line has column names.",
    )
