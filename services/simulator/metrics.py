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

from services.simulator.curve import CurveSums, read_curve
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
    sums = read_curve(curve.equity, curve.notional)
    trades, pnl, bars = curve.trades, curve.trades["pnl"], len(curve.equity)
    wins, losses = pnl[pnl > 0], pnl[pnl < 0]
    traded = trades["quantity"] * (trades["entry_price"] + trades["exit_price"])
    return Performance(
        trades=len(trades),
        total_return=float(curve.equity[-1] / curve.notional - 1),
        cagr=_cagr(curve, sums),
        profit_factor=_ratio(float(wins.sum()), -float(losses.sum())),
        profit_factor_per_bar=_ratio(sums.gains, sums.losses),
        sharpe=_sharpe(sums, bars, curve.bars_per_year),
        sortino=_sortino(sums, bars, curve.bars_per_year),
        drawdowns=_drawdowns(sums),
        win_rate=len(wins) / len(trades) if len(trades) else None,
        payoff=_ratio(_mean(wins), -_mean(losses)),
        expectancy=float(pnl.mean()) if len(trades) else None,
        exposure=np.count_nonzero(curve.held) / bars,
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


def _ratio(wins: float, losses: float) -> Ratio:
    if losses > 0:
        return Ratio(value=wins / losses)
    return Ratio(value=None, is_infinite=wins > 0)


def _mean(values: Floats) -> float:
    return float(values.mean()) if len(values) else 0.0


def _cagr(curve: Curve, sums: CurveSums) -> float | None:
    if sums.lowest <= 0:
        return None
    growth = float(curve.equity[-1] / curve.notional)
    exponent = curve.bars_per_year / len(curve.equity) * math.log(growth)
    return math.expm1(exponent) if exponent < 700 else None  # beyond a float


def _sharpe(sums: CurveSums, bars: int, bars_per_year: float) -> float | None:
    if bars < 2 or sums.spread == 0:
        return None
    return sums.mean / math.sqrt(sums.squares / (bars - 1)) * math.sqrt(bars_per_year)


def _sortino(sums: CurveSums, bars: int, bars_per_year: float) -> Ratio:
    """Against the root mean square of the negative returns, over all bars."""
    downside = math.sqrt(sums.losing_squares / bars)
    if downside == 0:
        return Ratio(value=None, is_infinite=sums.mean > 0)
    return Ratio(value=sums.mean / downside * math.sqrt(bars_per_year))


def _drawdowns(sums: CurveSums) -> Drawdowns:
    return Drawdowns(
        deepest=sums.deepest,
        deepest_bars=sums.deepest_bars,
        average=sums.drawdown_depths / max(sums.drawdowns, 1),
        average_bars=sums.drawdown_bars / max(sums.drawdowns, 1),
    )
