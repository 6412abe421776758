"""Writes the files of this folder: the same 72 hours of invented prices in every layout.

`python examples/formats/make_formats.py`. Nothing is downloaded: the prices are a walk of whole
cents around 100 that its seed fixes. Texts are put together by hand here, not by a library.
"""

from __future__ import annotations

import gzip
import io
import random
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pyarrow as pa
import pyarrow.parquet as pq

FOLDER = Path(__file__).parent
START = datetime(2024, 5, 13, tzinfo=UTC)
ROWS = 72


@dataclass(frozen=True, kw_only=True)
class Bar:
    at: datetime
    open: float
    high: float
    low: float
    close: float
    volume: int

    @property
    def prices(self) -> list[float]:
        return [self.open, self.high, self.low, self.close]

    @property
    def seconds(self) -> int:
        return int(self.at.timestamp())


def bars(step: timedelta = timedelta(hours=1), rows: int = ROWS) -> list[Bar]:
    chance, cents, made = random.Random(5), 10_000, []
    for row in range(rows):
        open_, close = cents, cents + chance.randint(-60, 60)
        high, low = (
            max(open_, close) + chance.randint(0, 25),
            min(open_, close) - chance.randint(0, 25),
        )
        made.append(
            Bar(
                at=START + row * step,
                open=open_ / 100,
                high=high / 100,
                low=low / 100,
                close=close / 100,
                volume=chance.randint(1, 5000),
            )
        )
        cents = close
    return made


def lines(separator: str, row: Callable[[Bar], list[object]], made: list[Bar]) -> str:
    return "".join(separator.join(map(str, row(bar))) + "\n" for bar in made)


def local(bar: Bar, zone: str, pattern: str) -> str:
    return f"{bar.at.astimezone(ZoneInfo(zone)):{pattern}}"


def klines(made: list[Bar], per_second: int) -> str:
    def row(bar: Bar) -> list[object]:
        opens, quote = bar.seconds * per_second, round(bar.close * bar.volume, 2)
        closes = opens + 3600 * per_second - 1
        return [opens, *bar.prices, bar.volume, closes, quote, 17, 5.5, 550.25, 0]

    return lines(",", row, made)


def comma(value: float) -> str:
    return f"{value:.2f}".replace(".", ",")


def texts(made: list[Bar]) -> dict[str, str]:
    names = "open,high,low,close,volume"
    days = bars(timedelta(days=1), 5)
    header = (
        "open_time,open,high,low,close,volume,close_time,quote_volume,count,"
        "taker_buy_volume,taker_buy_quote_volume,ignore\n"
    )
    return {
        "tssb_market.txt": lines(
            " ", lambda b: [f"{b.at:%Y%m%d} {b.at:%H%M}", *b.prices, b.volume], made
        ),
        "tssb_market_daily.txt": lines(
            " ", lambda b: [f"{b.at:%Y%m%d}", *b.prices, b.volume], days
        ),
        "tssb_database.txt": "Date Time Market CMMA_20 RANGE TGT_NEXT\n"
        + lines(
            " ",
            lambda b: [
                f"{b.at:%Y%m%d} {b.at:%H%M} WALK",
                round(b.close - 100, 2),
                round(b.high - b.low, 2),
                round(b.close - b.open, 2),
            ],
            made[10:-1],
        ),
        "binance_klines.csv": klines(made, 1000),
        "binance_klines_header.csv": header + klines(made, 1_000_000),
        "kraken_ohlcvt.csv": lines(",", lambda b: [b.seconds, *b.prices, b.volume, 12], made),
        "metatrader4.csv": lines(
            ",",
            lambda b: [local(b, "Europe/Athens", "%Y.%m.%d,%H:%M"), *b.prices, b.volume],
            made,
        ),
        "metatrader5.txt": "<DATE>\t<TIME>\t<OPEN>\t<HIGH>\t<LOW>\t<CLOSE>\t<TICKVOL>\t<SPREAD>\n"
        + lines(
            "\t",
            lambda b: [local(b, "Europe/Athens", "%Y.%m.%d\t%H:%M:%S"), *b.prices, b.volume, 3],
            made,
        ),
        "histdata.csv": lines(
            ";", lambda b: [local(b, "Etc/GMT+5", "%Y%m%d %H%M%S"), *b.prices, b.volume], made
        ),
        "yahoo_daily.csv": "Date,Open,High,Low,Close,Adj Close,Volume\n"
        + lines(",", lambda b: [f"{b.at:%Y-%m-%d}", *b.prices, b.close, b.volume], days),
        "tradingview.csv": "time,open,high,low,close,Volume\n"
        + lines(",", lambda b: [b.seconds, *b.prices, b.volume], made),
        "dukascopy.csv": "Gmt time,Open,High,Low,Close,Volume\n"
        + lines(",", lambda b: [f"{b.at:%d.%m.%Y %H:%M:%S}.000", *b.prices, b.volume], made),
        "iso_8601.csv": f"timestamp,{names}\n"
        + lines(",", lambda b: [f"{b.at:%Y-%m-%dT%H:%M:%SZ}", *b.prices, b.volume], made),
        "unix_ns.csv": f"timestamp,{names}\n"
        + lines(",", lambda b: [b.seconds * 10**9, *b.prices, b.volume], made),
        "two_columns.csv": f'"date","time",{names}\r\n'
        + lines(
            ",", lambda b: [f'"{b.at:%m/%d/%Y}","{b.at:%H:%M}"', *b.prices, b.volume], made
        ).replace("\n", "\r\n"),
        "decimal_commas.csv": "\ufeffdate;open;high;low;close;volume;\n"
        + lines(
            ";",
            lambda b: [f"{b.at:%d.%m.%Y %H:%M}", *map(comma, b.prices), b.volume, ""],
            made,
        ),
    }


def table(made: list[Bar]) -> pa.Table:
    columns = {
        name: [getattr(bar, name) for bar in made] for name in ("open", "high", "low", "close")
    }
    stamps = pa.array([bar.at for bar in made], pa.timestamp("ms", "UTC"))
    return pa.table({"timestamp": stamps} | columns | {"volume": [bar.volume for bar in made]})


def arrow(made: list[Bar]) -> bytes:
    sink, rows = io.BytesIO(), table(made)
    with pa.ipc.new_file(sink, rows.schema) as writer:
        writer.write_table(rows)
    return sink.getvalue()


def parquet(made: list[Bar]) -> bytes:
    sink = io.BytesIO()
    pq.write_table(table(made), sink, compression="zstd")
    return sink.getvalue()


def archive(files: dict[str, str]) -> bytes:
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED) as into:
        for name, text in files.items():
            into.writestr(zipfile.ZipInfo(name, (2024, 5, 13, 0, 0, 0)), text)
    return sink.getvalue()


def contents() -> dict[str, bytes]:
    made = bars()
    written = texts(made)
    packed = {
        "bars.parquet": parquet(made),
        "bars.arrow": arrow(made),
        "iso_8601.csv.gz": gzip.compress(written["iso_8601.csv"].encode(), mtime=0),
        "kraken.zip": archive(
            {name: written[f"{name.split('/')[0]}.csv"] for name in ("kraken_ohlcvt/60.csv",)}
            | {"kraken_ohlcvt/readme.txt": "Hours in 60.csv.\n"}
        ),
    }
    return {name: text.encode() for name, text in written.items()} | packed


def main() -> None:
    for name, content in contents().items():
        (FOLDER / name).write_bytes(content)


if __name__ == "__main__":
    main()
