"""What an equity curve and its trades are worth. Pure: arrays in, frozen values out.

Returns per bar are changes of equity in parts of the notional and do not compound.
None is "not defined"; an infinite ratio is None with its flag. Drawdown is positive.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from services.shared.evaluation import profit_factor
from services.simulator.domain import ExitReason, Flags, Floats
from services.simulator.engine import Trades


@dataclass(frozen=True, kw_only=True)
class Curve:
    """Equity at each bar's close, whether a position was held there, and the trades behind it."""

    equity: Floats
    held: Flags
    trades: Trades
    notional: float
    bars_per_year: float


@dataclass(frozen=True, kw_only=True)
class Ratio:
    value: float | None
    is_infinite: bool = False


@dataclass(frozen=True, kw_only=True)
class Drawdowns:
    """A drawdown lasts from its first bar below the peak to its last."""

    deepest: float
    deepest_bars: int
    average: float
    average_bars: float


@dataclass(frozen=True, kw_only=True)
class Performance:
    trades: int
    total_return: float
    cagr: float | None
    profit_factor: Ratio
    profit_factor_per_bar: Ratio
    sharpe: float | None
    sortino: Ratio
    drawdowns: Drawdowns
    win_rate: float | None
    payoff: Ratio
    expectancy: float | None  # money a trade
    exposure: float
    turnover: float  # in notionals
    fees: float  # money


@dataclass(frozen=True, kw_only=True)
class Bucket:
    """Trades of one side; there is at least one."""

    side: str
    trades: int
    wins: int
    losses: int
    pnl: float
    mean_return: float
    median_return: float
    best_return: float
    worst_return: float
    mean_bars_held: float
    mean_mae: float
    mean_mfe: float
    exit_reasons: Mapping[str, int]


def performance(curve: Curve) -> Performance:
    returns = np.diff(curve.equity, prepend=curve.notional) / curve.notional
    trades, pnl = curve.trades, curve.trades["pnl"]
    wins, losses = pnl[pnl > 0], pnl[pnl < 0]
    traded = trades["quantity"] * (trades["entry_price"] + trades["exit_price"])
    return Performance(
        trades=len(trades),
        total_return=float(curve.equity[-1] / curve.notional - 1),
        cagr=_cagr(curve),
        profit_factor=_profit_factor(pnl),
        profit_factor_per_bar=_profit_factor(returns),
        sharpe=_sharpe(returns, curve.bars_per_year),
        sortino=_sortino(returns, curve.bars_per_year),
        drawdowns=_drawdowns(drawdown(curve.equity, curve.notional)),
        win_rate=len(wins) / len(trades) if len(trades) else None,
        payoff=_payoff(wins, losses),
        expectancy=float(pnl.mean()) if len(trades) else None,
        exposure=float(curve.held.mean()),
        turnover=float(traded.sum()) / curve.notional,
        fees=float(trades["fees"].sum()),
    )


def bucket(side: str, trades: Trades, notional: float) -> Bucket:
    returns = trades["pnl"] / notional
    mae, mfe = excursions(trades)
    reasons = Counter(trades["reason"].tolist())
    return Bucket(
        side=side,
        trades=len(trades),
        wins=int((returns > 0).sum()),
        losses=int((returns < 0).sum()),
        pnl=float(trades["pnl"].sum()),
        mean_return=float(returns.mean()),
        median_return=float(np.median(returns)),
        best_return=float(returns.max()),
        worst_return=float(returns.min()),
        mean_bars_held=float((trades["exit"] - trades["entry"]).mean()),
        mean_mae=float(mae.mean()),
        mean_mfe=float(mfe.mean()),
        exit_reasons={ExitReason(code).label: n for code, n in sorted(reasons.items())},
    )


def drawdown(equity: Floats, notional: float) -> Floats:
    """Below the highest equity so far, the start included, in parts of the notional."""
    peak: Floats = np.maximum(np.maximum.accumulate(equity), notional)
    return (peak - equity) / notional


def excursions(trades: Trades) -> tuple[Floats, Floats]:
    """Furthest move against and for each trade in parts of its entry price, both positive."""
    entry = trades["entry_price"]
    down, up = 1 - trades["lowest"] / entry, trades["highest"] / entry - 1
    is_long = trades["side"] > 0
    return np.where(is_long, down, up), np.where(is_long, up, down)


def is_insolvent(equity: Floats) -> bool:
    return bool((equity <= 0).any())


def _profit_factor(profits: Floats) -> Ratio:
    value, is_infinite = profit_factor(profits)
    return Ratio(value=value, is_infinite=is_infinite)


def _cagr(curve: Curve) -> float | None:
    if is_insolvent(curve.equity):
        return None
    growth = float(curve.equity[-1] / curve.notional)
    exponent = curve.bars_per_year / len(curve.equity) * math.log(growth)
    return math.expm1(exponent) if exponent < 700 else None  # beyond a float


def _sharpe(returns: Floats, bars_per_year: float) -> float | None:
    if len(returns) < 2 or np.ptp(returns) == 0:
        return None
    return float(returns.mean() / returns.std(ddof=1) * math.sqrt(bars_per_year))


def _sortino(returns: Floats, bars_per_year: float) -> Ratio:
    """Against the root mean square of the negative returns, over all bars."""
    mean, downside = float(returns.mean()), math.sqrt(float((np.minimum(returns, 0) ** 2).mean()))
    if downside == 0:
        return Ratio(value=None, is_infinite=mean > 0)
    return Ratio(value=mean / downside * math.sqrt(bars_per_year))


def _payoff(wins: Floats, losses: Floats) -> Ratio:
    if not len(losses):
        return Ratio(value=None, is_infinite=len(wins) > 0)
    return Ratio(value=float(wins.mean() / -losses.mean())) if len(wins) else Ratio(value=0.0)


def _drawdowns(depth: Floats) -> Drawdowns:
    edges = np.diff((depth > 0).astype(np.int8), prepend=0, append=0)
    starts, ends = np.flatnonzero(edges == 1), np.flatnonzero(edges == -1)
    if not starts.size:
        return Drawdowns(deepest=0.0, deepest_bars=0, average=0.0, average_bars=0.0)
    depths, bars = np.maximum.reduceat(depth, starts), ends - starts
    deepest = int(depths.argmax())
    return Drawdowns(
        deepest=float(depths[deepest]),
        deepest_bars=int(bars[deepest]),
        average=float(depths.mean()),
        average_bars=float(bars.mean()),
    )
