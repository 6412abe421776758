"""What every row of a table must keep, and the nulls an indicator may have."""

from __future__ import annotations

import math
from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from services.dataset.formats.columns import PRICES
from services.dataset.formats.refusal import (
    Broken,
    Int64s,
    Ledger,
    Mask,
    Places,
    Rules,
    broken_rows,
    refused,
)

_INNER: Final = "has no value at all, between rows that have some,"
_BACKWARD: Final = "has a time before that of the row above it"


class TimeOrder:
    """Whether each row comes after the one above it, from block to block."""

    def __init__(self) -> None:
        self._last: int | None = None
        self._rows = 0
        self._backward = 0

    def broken(self, ms: Int64s) -> Rules:
        if not len(ms):
            return []
        steps = np.diff(ms, prepend=ms[0] - 1 if self._last is None else self._last)
        self._last = int(ms[-1])
        backward = steps < 0
        self._rows += len(ms)
        self._backward += int(np.count_nonzero(backward))
        return [("repeats the time of the row above it", steps == 0), (_BACKWARD, backward)]

    def close(self) -> None:
        if self._rows > 2 and self._backward == self._rows - 1:
            raise refused("has its newest row first: sort it by time, oldest first")


def broken_bars(frame: pl.DataFrame) -> Rules:
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


def broken_numbers(frame: pl.DataFrame) -> list[tuple[str, Mask]]:
    odd = [series for series in frame if series.dtype == pl.Float64 and not is_finite(series)]
    return [
        (f"has an infinite value in {series.name!r}", np.isinf(_floats(series))) for series in odd
    ]


def is_finite(series: pl.Series) -> bool:
    """False where there is NaN or infinity, for either shows in the sum; numbers so large that
    their sum is infinite are taken for such too."""
    return math.isfinite(series.sum())


class EmptyEdges:
    """Counts rows without any value at the head and at the tail.

    One between others is refused: TSSB leaves records out at the edges only (DOMAIN §2).
    """

    def __init__(self) -> None:
        self.head = 0
        self.tail = 0
        self._has_begun = False
        self._open: Broken | None = None
        self._inner = Ledger()

    def add(self, frame: pl.DataFrame, places: Places) -> None:
        empty = _empty(frame)
        full = np.flatnonzero(~empty)
        begins, ends = (int(full[0]), int(full[-1]) + 1) if len(full) else (len(empty), len(empty))
        if not self._has_begun:
            self.head += begins
            empty[:begins] = False
        if len(full):
            self._has_begun = True
            self._inner.note([self._open] if self._open else [])
            self._open, self.tail = None, 0
            self._inner.note(
                broken_rows(places, [(_INNER, empty & (np.arange(len(empty)) < ends))])
            )
            empty[:ends] = False
        if empty.any():
            later = places.broken(_INNER, empty)
            self._open = self._open.and_then(later) if self._open else later
            self.tail += later.count

    def close(self) -> None:
        """Raises what was found."""
        if not self._has_begun:
            raise refused("has no value in any row")
        self._inner.close()


def _empty(frame: pl.DataFrame) -> Mask:
    if not all(frame.null_count().row(0)):
        return np.zeros(len(frame), np.bool_)
    empty = frame.select(pl.all_horizontal(pl.all().is_null())).to_series()
    return np.array(empty.to_numpy())


def _floats(series: pl.Series) -> NDArray[np.float64]:
    """Null as NaN, which no comparison holds for."""
    if series.has_nulls():
        series = series.fill_null(np.nan)
    return series.to_numpy()
