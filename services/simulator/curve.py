"""An equity curve read once: the sums that its metrics are made of."""

from __future__ import annotations

from typing import NamedTuple

from services.simulator.domain import Floats
from services.simulator.jit import compiled


class CurveSums(NamedTuple):
    """Returns are changes of equity in parts of the notional, one for each bar."""

    mean: float
    squares: float  # of the distances from the mean
    spread: float  # highest return minus lowest
    gains: float
    losses: float  # positive
    losing_squares: float
    lowest: float  # equity, money
    deepest: float  # drawdown in parts of the notional
    deepest_bars: int
    drawdowns: int
    drawdown_depths: float  # summed
    drawdown_bars: int


@compiled
def read_curve(equity: Floats, notional: float) -> CurveSums:
    """Of at least one bar; the curve starts at the notional, one bar before the first."""
    mean = (equity[-1] / notional - 1) / len(equity)
    squares = gains = losses = losing_squares = 0.0
    before, lowest, peak = notional, equity[0], notional
    least = most = (equity[0] - notional) / notional
    deepest = depths = depth = 0.0
    deepest_bars = deepest_one = drawdowns = all_bars = bars = 0
    for now in equity:
        change = (now - before) / notional
        before = now
        squares += (change - mean) ** 2
        least, most, lowest = min(least, change), max(most, change), min(lowest, now)
        if change > 0:
            gains += change
        else:
            losses -= change
            losing_squares += change * change
        if now >= peak:
            peak, depth, bars = now, 0.0, 0
            continue
        drawdowns += bars == 0
        bars += 1
        all_bars += 1
        deeper = max(depth, (peak - now) / notional)
        depths += deeper - depth
        depth = deeper
        if depth > deepest:
            deepest, deepest_one = depth, drawdowns
        if deepest_one == drawdowns:
            deepest_bars = bars
    return CurveSums(
        mean,
        squares,
        most - least,
        gains,
        losses,
        losing_squares,
        lowest,
        deepest,
        deepest_bars,
        drawdowns,
        depths,
        all_bars,
    )
