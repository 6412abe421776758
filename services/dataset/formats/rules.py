"""What every row of a table must keep, and the nulls an indicator may have."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from services.dataset.domain.times import disorder
from services.dataset.formats.columns import PRICES
from services.dataset.formats.refusal import Int64s, Mask, Places, refuse_rows, refused

Broken = list[tuple[str, Mask]]

_BACKWARD: Final = "has a time before that of the row above it"


def broken_times(ms: Int64s) -> Broken:
    """The rows that do not come after the one above them."""
    repeated, backward = disorder(ms)
    if len(ms) > 2 and bool(backward[1:].all()):
        raise refused("has its newest row first: sort it by time, oldest first")
    return [("repeats the time of the row above it", repeated), (_BACKWARD, backward)]


def broken_bars(frame: pl.DataFrame) -> Broken:
    """Prices are there, above 0 and in order; nothing is infinite, no volume below 0."""
    open_, high, low, close = (_floats(frame[name]) for name in PRICES)
    missing = np.logical_or.reduce([np.isnan(price) for price in (open_, high, low, close)])
    ordered = low <= high
    return [
        *broken_numbers(frame),
        ("has no value in open, high, low or close", missing),
        ("has a price that is not above 0", np.minimum.reduce((open_, high, low, close)) <= 0),
        ("has high below low", high < low),
        ("has open outside low to high", ordered & ((open_ < low) | (open_ > high))),
        ("has close outside low to high", ordered & ((close < low) | (close > high))),
        ("has a volume below 0", _floats(frame["volume"]) < 0),
    ]


def broken_numbers(frame: pl.DataFrame) -> Broken:
    numbers = [series for series in frame if series.dtype == pl.Float64]
    found = [(series, series.is_infinite().fill_null(False)) for series in numbers]
    return [
        (f"has an infinite value in {series.name!r}", bad.to_numpy())
        for series, bad in found
        if bad.any()
    ]


def empty_edges(frame: pl.DataFrame, places: Places) -> tuple[int, int]:
    """How many rows without any value stand at the head and at the tail.

    One between others is refused: TSSB leaves records out at the edges only (DOMAIN §2).
    """
    empty: Mask = frame.select(pl.all_horizontal(pl.all().is_null())).to_series().to_numpy()
    if empty.all():
        raise refused("has no value in any row")
    head = int(np.argmin(empty))
    tail = int(np.argmin(empty[::-1]))
    inner = empty.copy()
    inner[:head] = False
    inner[len(inner) - tail :] = False
    refuse_rows(places, [("has no value at all, between rows that have some,", inner)])
    return head, tail


def null_counts(frame: pl.DataFrame) -> Mapping[str, int]:
    counts = {series.name: series.null_count() for series in frame}
    return {name: count for name, count in counts.items() if count}


def _floats(series: pl.Series) -> NDArray[np.float64]:
    """Null as NaN, which no comparison holds for."""
    return series.cast(pl.Float64).fill_null(np.nan).to_numpy()
