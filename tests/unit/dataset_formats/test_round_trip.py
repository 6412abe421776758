"""Valid bars and indicators, written in every layout, come back as they were."""

from __future__ import annotations

import io
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.dataset.formats import DateOrder, FileRefused, TimeLayout
from tests.unit.dataset_formats.files import Files, values
from tests.unit.dataset_formats.test_columnar import arrow_file, arrow_stream, parquet

START = datetime(1990, 1, 1, tzinfo=UTC)
NAMES = ("open", "high", "low", "close", "volume")

prices = st.floats(min_value=1e-6, max_value=1e9)
numbers = st.one_of(st.none(), st.floats(allow_nan=False, allow_infinity=False))


@dataclass(frozen=True)
class Bar:
    at: datetime
    open: float
    high: float
    low: float
    close: float
    volume: float

    @property
    def prices(self) -> list[float]:
        return [self.open, self.high, self.low, self.close, self.volume]


@st.composite
def many_bars(draw: st.DrawFn) -> list[Bar]:
    minutes = draw(st.lists(st.integers(1, 5_000_000), min_size=2, max_size=12))
    bars, at = [], START + timedelta(minutes=1)
    for step in minutes:
        low, open_, close, high = sorted(draw(st.tuples(prices, prices, prices, prices)))
        if draw(st.booleans()):
            open_, close = close, open_
        bars.append(Bar(at, open_, high, low, close, draw(st.floats(0, 1e15))))
        at += timedelta(minutes=step)
    return bars


def rows(bars: list[Bar], stamp: str, separator: str) -> str:
    return "".join(
        separator.join([f"{bar.at:{stamp}}", *map(repr, bar.prices)]) + "\n" for bar in bars
    )


def header(date: str, separator: str = ",") -> str:
    return separator.join([date, "Open", "High", "Low", "Close", "Volume"]) + "\n"


def table(bars: list[Bar]) -> pa.Table:
    stamps = pa.array([int(bar.at.timestamp()) * 1000 for bar in bars])
    columns = zip(*(bar.prices for bar in bars), strict=True)
    return pa.table({"timestamp_ms": stamps} | dict(zip(NAMES, map(list, columns), strict=True)))


LAYOUTS: dict[str, Callable[[list[Bar]], str | bytes]] = {
    "tssb spaces": lambda bars: rows(bars, "%Y%m%d %H%M", " "),
    "tssb tabs": lambda bars: rows(bars, "%Y%m%d\t%H%M%S", "\t"),
    "dukascopy": lambda bars: header("Gmt time") + rows(bars, "%d.%m.%Y %H:%M:%S.000", ","),
    "iso": lambda bars: header("date") + rows(bars, "%Y-%m-%dT%H:%M:%SZ", ","),
    "american": lambda bars: header("time", ";") + rows(bars, "%m/%d/%Y %H:%M", ";"),
    "unix": lambda bars: header("unix") + rows(bars, "%s", ",").replace("\n", ",\r\n"),
    "two columns": lambda bars: header("Date,Time") + rows(bars, "%Y.%m.%d,%H:%M", ","),
    "parquet": lambda bars: parquet(table(bars)),
    "arrow file": lambda bars: arrow_file(table(bars), "zstd"),
    "arrow stream": lambda bars: arrow_stream(table(bars)),
}
GIVEN: dict[str, dict[str, Any]] = {
    "tssb spaces": {"time_layout": TimeLayout.HHMM},
    "tssb tabs": {"time_layout": TimeLayout.HHMMSS},
    "american": {"date_order": DateOrder.MONTH_FIRST},
}


@pytest.mark.parametrize("layout", LAYOUTS)
@given(bars=many_bars())
@settings(max_examples=40, deadline=None)
def test_bars_come_back_as_they_were_written(layout: str, bars: list[Bar]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        parsed = Files(Path(folder)).bars(LAYOUTS[layout](bars), **GIVEN.get(layout, {}))
    assert parsed.table == table(bars)


@given(
    separator=st.sampled_from(",;\t"),
    texts=st.lists(st.none() | st.text(st.characters(codec="utf-8"), max_size=6), min_size=1),
    name=st.text(st.characters(codec="utf-8"), max_size=6).map(lambda text: f"n{text}"),
)
@settings(max_examples=60, deadline=None)
def test_what_is_taken_of_text_a_text_file_can_carry(
    separator: str, texts: list[str | None], name: str
) -> None:
    stamps = pa.array([(8000 + day) * 86_400_000 for day in range(len(texts))])
    written = pa.table({"timestamp_ms": stamps, name: pa.array(texts, pa.string()), "x": stamps})
    with tempfile.TemporaryDirectory() as folder:
        files = Files(Path(folder))
        try:
            first = files.indicators(parquet(written)).table
        except FileRefused:
            assert not all(text.isprintable() for text in (name, *filter(None, texts)))
            return
        sink = io.BytesIO()
        frame = pl.DataFrame(first)
        frame.write_csv(sink, separator=separator)
        again = files.indicators(
            sink.getvalue(), separator=separator, text_columns=(first.column_names[1],)
        )
    assert again.table == first


@given(st.lists(st.tuples(numbers, numbers), min_size=1, max_size=20))
@settings(max_examples=100, deadline=None)
def test_indicators_come_back_as_they_were_written(pairs: list[tuple[float | None, ...]]) -> None:
    pairs = [(1.0, None), *pairs, (None, 2.0)]
    lines = [
        f"{START + timedelta(days=day):%Y%m%d},{'' if a is None else repr(a)},"
        f"{'NaN' if b is None else repr(b)},1"
        for day, (a, b) in enumerate(pairs)
    ]
    content = "Date,A,B,C\n" + "\n".join(lines) + "\n"
    with tempfile.TemporaryDirectory() as folder:
        parsed = Files(Path(folder)).indicators(content)
    assert values(parsed, "A") == [a for a, _ in pairs]
    assert values(parsed, "B") == [b for _, b in pairs]
