"""Every file of examples/formats holds the same bars, and each is read as what it is."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from examples.formats.make_formats import Bar, bars
from services.dataset.formats import FileAmbiguous, Format, Kind, Options, Unit, read

FOLDER = Path(__file__).parents[3] / "examples" / "formats"
DAILY = {"yahoo_daily.csv", "tssb_market_daily.txt"}
BINANCE = ["quote_volume", "trades", "taker_buy_volume", "taker_buy_quote_volume"]

# The format, what must be said because it cannot be known, and the columns beside the bars.
FILES: dict[str, tuple[Format, dict[str, Any], list[str]]] = {
    "tssb_market.txt": (Format.TSSB_MARKET, {}, []),
    "tssb_market_daily.txt": (Format.TSSB_MARKET, {}, []),
    "binance_klines.csv": (Format.BINANCE_KLINES, {}, BINANCE),
    "binance_klines_header.csv": (Format.BINANCE_KLINES, {}, BINANCE),
    "kraken_ohlcvt.csv": (Format.KRAKEN_OHLCVT, {}, ["trades"]),
    "kraken.zip": (Format.KRAKEN_OHLCVT, {"member": "kraken_ohlcvt/60.csv"}, ["trades"]),
    "metatrader4.csv": (Format.METATRADER, {"zone": "Europe/Athens"}, []),
    "metatrader5.txt": (Format.METATRADER, {"zone": "Europe/Athens"}, ["<SPREAD>"]),
    "histdata.csv": (Format.HISTDATA, {"zone": "Etc/GMT+5"}, []),
    "yahoo_daily.csv": (Format.CSV, {}, ["Adj Close"]),
    "tradingview.csv": (Format.CSV, {}, []),
    "dukascopy.csv": (Format.CSV, {}, []),
    "iso_8601.csv": (Format.CSV, {}, []),
    "iso_8601.csv.gz": (Format.CSV, {}, []),
    "unix_ns.csv": (Format.CSV, {}, []),
    "two_columns.csv": (Format.CSV, {}, []),
    "decimal_commas.csv": (Format.CSV, {}, []),
    "bars.parquet": (Format.PARQUET, {}, []),
    "bars.arrow": (Format.ARROW, {}, []),
}


def table(made: list[Bar]) -> pa.Table:
    columns = {name: [getattr(bar, name) for bar in made] for name in ("open", "high", "low")}
    columns["close"] = [bar.close for bar in made]
    volume = pa.array([float(bar.volume) for bar in made])
    return pa.table({"timestamp_ms": [bar.seconds * 1000 for bar in made]} | columns).append_column(
        "volume", volume
    )


def test_every_example_is_here() -> None:
    files = {path.name for path in FOLDER.iterdir() if path.suffix not in (".py", ".md", "")}
    assert files == {*FILES, "tssb_database.txt"}


@pytest.mark.parametrize("name", FILES)
def test_the_bars_of_an_example_are_read_as_they_were_written(name: str) -> None:
    format_, given, others = FILES[name]
    parsed = read(FOLDER / name, Kind.OHLCV, Options(**given))
    made = bars(timedelta(days=1), 5) if name in DAILY else bars()
    assert parsed.format is format_
    assert parsed.table.select(range(6)) == table(made)
    assert parsed.table.column_names[6:] == others
    assert parsed.null_counts == {}


@pytest.mark.parametrize("name", [*FILES, "tssb_database.txt"])
def test_the_options_that_were_used_give_the_same_table_again(name: str) -> None:
    kind = Kind.INDICATORS if name == "tssb_database.txt" else Kind.OHLCV
    given = FILES[name][1] if name in FILES else {}
    first = read(FOLDER / name, kind, Options(**given))
    again = read(FOLDER / name, kind, first.used)
    assert again.table == first.table
    assert replace(again.used, columns={}) == replace(first.used, columns={})


def test_the_indicators_of_an_example_are_read_as_they_were_written() -> None:
    parsed = read(FOLDER / "tssb_database.txt", Kind.INDICATORS, Options())
    made = bars()[10:-1]
    assert parsed.format is Format.TSSB_DATABASE
    assert parsed.used.market == "WALK"
    assert parsed.table["timestamp_ms"].to_pylist() == [bar.seconds * 1000 for bar in made]
    assert parsed.table["RANGE"].to_pylist() == [round(bar.high - bar.low, 2) for bar in made]


@pytest.mark.parametrize("name", ["metatrader4.csv", "metatrader5.txt", "histdata.csv"])
def test_times_of_a_zone_that_the_file_does_not_tell_need_it(name: str) -> None:
    with pytest.raises(FileAmbiguous, match=r"ohlcv\.zone is missing"):
        read(FOLDER / name, Kind.OHLCV, Options())


def test_what_was_guessed_is_told_with_its_reason() -> None:
    parsed = read(FOLDER / "decimal_commas.csv", Kind.OHLCV, Options())
    told = " ".join(parsed.notes)
    assert "separated by semicolons" in told
    assert "Decimals follow a comma" in told
    assert "day, month, year: the first goes above 12" in told
    assert "ends of lines are left out" in told
    assert (parsed.used.separator, parsed.used.decimal, parsed.used.zone) == (";", ",", "UTC")
    klines = read(FOLDER / "binance_klines_header.csv", Kind.OHLCV, Options())
    assert klines.used.unit is Unit.US
    assert any("microseconds since 1970, by its largest value" in note for note in klines.notes)
    assert "Columns left out: 'close_time', 'ignore'." in klines.notes
