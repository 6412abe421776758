"""Which bar each indicator row stands on: one offset for all of them, or a refusal."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from services.dataset.domain.times import Times, first_difference, iso
from services.shared.errors import InvalidRequest, Violation


class Alignment(NamedTuple):
    lookback_rows: int
    lookahead_rows: int


def align(ohlcv: Times, indicators: Times | None) -> Alignment:
    """Bars before the first and after the last indicator row, both strictly increasing.

    Raises InvalidRequest unless indicator row i is at the time of bar i + lookback for every i.
    """
    if indicators is None:
        return Alignment(len(ohlcv), 0)
    lookback = int(np.searchsorted(ohlcv, indicators[0], side="left"))
    row = first_difference(ohlcv[lookback:], indicators)
    if row < len(indicators):
        message = _misaligned(ohlcv, indicators, lookback, row)
        raise InvalidRequest([Violation("indicators", message)])
    return Alignment(lookback, len(ohlcv) - lookback - len(indicators))


def refuse_misaligned(bars: Times, indicators: Times) -> None:
    """Raises InvalidRequest unless the rows stand on the first of these bars, one on each."""
    row = first_difference(bars, indicators)
    if row < len(indicators):
        at = iso(indicators[row])
        if row == len(bars):
            message = f"have a row at {at}, where there is no bar yet"
        elif indicators[row] > bars[row]:
            message = f"leave out the bar at {iso(bars[row])}: the next row is at {at}"
        else:
            message = f"have a row at {at}, where there is no bar"
        raise InvalidRequest([Violation("indicators", message)])


def _misaligned(ohlcv: Times, indicators: Times, lookback: int, row: int) -> str:
    at, bar = iso(indicators[row]), lookback + row
    if bar >= len(ohlcv):
        return f"have row {row} at {at}, after the last bar at {iso(ohlcv[-1])}"
    if indicators[row] > ohlcv[bar]:
        return (
            f"leave out the bar at {iso(ohlcv[bar])}: after row {row - 1} comes row {row} at {at}"
        )
    return f"have row {row} at {at}, where there is no bar"
