"""A reader of our own that knows Python's `csv`, `float` and `strptime` and nothing else."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final
from zoneinfo import ZoneInfo

import pyarrow as pa

from services.dataset.formats import Format, Parsed

_NOTHING: Final = ("", "nan", "na", "n/a", "#n/a", "null", "none")
_PRICES: Final = ("open", "high", "low", "close")
_BARS: Final = (*_PRICES, "volume")
_TWO: Final = ("metatrader4.csv", "metatrader5.txt", "two_columns.csv", "tssb_market.txt")
_PATTERNS: Final = {
    "decimal_commas.csv": "%d.%m.%Y %H:%M",
    "dukascopy.csv": "%d.%m.%Y %H:%M:%S.%f",
    "histdata.csv": "%Y%m%d %H%M%S",
    "metatrader4.csv": "%Y.%m.%d %H:%M",
    "metatrader5.txt": "%Y.%m.%d %H:%M:%S",
    "tssb_database.txt": "%Y%m%d %H%M",
    "tssb_market.txt": "%Y%m%d %H%M",
    "tssb_market_daily.txt": "%Y%m%d",
    "two_columns.csv": "%m/%d/%Y %H:%M",
    "yahoo_daily.csv": "%Y-%m-%d",
}
_PER_MS: Final = {
    "binance_klines.csv": 1.0,
    "binance_klines_header.csv": 1e3,
    "kraken_ohlcvt.csv": 1e-3,
    "tradingview.csv": 1e-3,
    "unix_ns.csv": 1e6,
}
_BEGINS: Final = {
    Format.TSSB_MARKET: -5,
    Format.KRAKEN_OHLCVT: 1,
    Format.METATRADER: 2,
    Format.HISTDATA: 1,
    Format.BINANCE_KLINES: 1,
}
_AFTER: Final = {
    Format.KRAKEN_OHLCVT: {"trades": 6},
    Format.BINANCE_KLINES: {
        "quote_volume": 7,
        "trades": 8,
        "taker_buy_volume": 9,
        "taker_buy_quote_volume": 10,
    },
}


def holds_what_the_text_says(name: str, parsed: Parsed, content: bytes) -> None:
    """Times, prices, volume and all else, row by row."""
    rows = _rows(content.decode("utf-8-sig"), parsed.used.separator or ",")
    places = _places(rows, parsed)
    end = len(rows) - parsed.trimmed_tail
    rows = rows[parsed.trimmed_head : end]
    assert len(rows) == parsed.table.num_rows
    times = [_moment(name, row, places["timestamp_ms"], parsed.used.zone) for row in rows]
    assert times == parsed.table["timestamp_ms"].to_pylist()
    number = _comma_number if parsed.used.decimal == "," else float
    for column in parsed.table.column_names[1:]:
        found = parsed.table[column]
        if column not in places:
            assert (column, found.null_count) == ("volume", len(rows))
            continue
        read: Callable[[str], object] = str if pa.types.is_string(found.type) else number
        texts = [row[places[column]] for row in rows]
        assert found.to_pylist() == [_value(text, read) for text in texts], column


def _value(text: str, read: Callable[[str], object]) -> object:
    is_nothing = not text if read is str else text.lower() in _NOTHING
    return None if is_nothing else read(text)


def _moment(name: str, row: list[str], place: int, zone: str | None) -> int:
    if name in _PER_MS:
        return round(float(row[place]) / _PER_MS[name])
    text = row[place]
    if name == "iso_8601.csv":
        moment = datetime.fromisoformat(text)
    else:
        if name in (*_TWO, "tssb_database.txt"):
            time = row[place + 1]
            text += " " + (time.zfill(4) if name.startswith("tssb") else time)
        moment = datetime.strptime(text, _PATTERNS[name]).replace(tzinfo=UTC)
        is_day = " " not in _PATTERNS[name]
        if zone is not None and not is_day:
            moment = moment.replace(tzinfo=ZoneInfo(zone))
    return round(moment.timestamp() * 1000)


def _rows(text: str, separator: str) -> list[list[str]]:
    lines = re.split(r"\r*\n", text) if "\n" in text else text.split("\r")
    whole = [line for line in lines if any(ord(sign) > 32 for sign in line)]
    if separator == " ":
        return [line.split() for line in whole]
    split = csv.reader(whole, delimiter=separator)
    return [[field.strip() for field in row] for row in split]


def _places(rows: list[list[str]], parsed: Parsed) -> dict[str, int]:
    """Where each column stands; the header, if there is one, is taken away."""
    if not re.match(r"[+-]?\d", next(filter(None, rows[0]))):
        return _named(rows.pop(0), parsed)
    begin = _BEGINS[parsed.format]
    if begin < 0:
        begin = len([field for field in rows[0] if field]) + begin
    bars = {name: begin + place for place, name in enumerate(_BARS)}
    return {"timestamp_ms": 0} | bars | _AFTER.get(parsed.format, {})


def _named(header: list[str], parsed: Parsed) -> dict[str, int]:
    """Prices by their own names, whatever the reader says of them."""
    places = {"timestamp_ms": header.index(parsed.used.timestamp_column or "")}
    known = [name.lower().strip("<>") for name in header]
    for name in parsed.table.column_names[1:]:
        theirs = parsed.used.columns.get(name, name)
        if theirs in header:
            places[name] = header.index(theirs)
        if name in _PRICES and name in known:
            places[name] = known.index(name)
    if parsed.format is Format.BINANCE_KLINES:
        places |= _AFTER[Format.BINANCE_KLINES]
    return places


def _comma_number(text: str) -> float:
    return float(text.replace(".", "").replace(",", "."))
