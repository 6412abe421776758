from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import groupby

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.simulator.curve import read_curve
from services.simulator.domain import ExitReason, FoldThresholds, Settings
from services.simulator.engine import TRADE, Trades
from services.simulator.metrics import (
    Curve,
    Performance,
    bucket,
    drawdown,
    excursions,
    performance,
)
from tests.unit.simulator.markets import all_settings, fold_thresholds, markets, run_kernel
from tests.unit.simulator.reference import Bar

NOTIONAL = 1000.0


def trades_of(*pnl: float) -> Trades:
    trades = np.zeros(len(pnl), dtype=TRADE)
    trades["pnl"], trades["side"], trades["quantity"] = pnl, 1, 10
    trades["entry_price"] = trades["exit_price"] = trades["lowest"] = trades["highest"] = 100
    trades["reason"] = ExitReason.TIME
    return trades


def judged(
    equity: Sequence[float], *pnl: float, bars_per_year: float = 252, held: Sequence[bool] = ()
) -> Performance:
    return performance(
        Curve(
            equity=np.array(equity, dtype=np.float64),
            held=np.array(held or [True] * len(equity)),
            trades=trades_of(*pnl),
            notional=NOTIONAL,
            bars_per_year=bars_per_year,
        )
    )


def test_returns_are_parts_of_the_notional_and_do_not_compound() -> None:
    p = judged([1100, 1200, 1300])
    assert p.total_return == pytest.approx(0.3)
    assert p.sharpe is None  # every bar returned the same


def test_cagr_takes_the_real_length_in_years() -> None:
    p = judged([1000] * 251 + [1210], bars_per_year=126)
    assert p.cagr == pytest.approx(0.1)


def test_cagr_is_not_defined_after_insolvency() -> None:
    assert judged([1000, 0, 1500]).cagr is None
    assert judged([1000, 1, 1500]).cagr is not None


def test_sharpe_is_mean_by_standard_deviation_annualised() -> None:
    returns = np.array([0.01, -0.02, 0.03, 0.0])
    p = judged((1000 * (1 + returns.cumsum())).tolist(), bars_per_year=100)
    assert p.sharpe == pytest.approx(returns.mean() / returns.std(ddof=1) * 10)


def test_sortino_counts_only_what_was_lost_over_all_bars() -> None:
    p = judged([1010, 990, 1020, 1020], bars_per_year=100)
    downside = math.sqrt(0.02**2 / 4)
    assert p.sortino.value == pytest.approx(0.02 / 4 / downside * 10)


def test_infinite_ratios_are_null_with_a_flag() -> None:
    p = judged([1000, 1010], 5.0, 5.0)
    assert p.profit_factor.is_infinite
    assert p.profit_factor_per_bar.is_infinite
    assert p.sortino.is_infinite
    assert p.payoff.is_infinite
    ratios = (p.profit_factor, p.profit_factor_per_bar, p.sortino, p.payoff)
    assert all(ratio.value is None for ratio in ratios)


def test_a_trade_that_returned_zero_is_neither_won_nor_lost() -> None:
    p = judged([1000, 1030], 60.0, -30.0, 0.0)
    assert p.profit_factor.value == 2
    assert p.payoff.value == 2
    assert p.win_rate == pytest.approx(1 / 3)
    assert p.expectancy == 10


def test_without_trades_nothing_is_claimed() -> None:
    p = judged([1000, 1000], held=[False, False])
    assert (p.trades, p.total_return, p.exposure, p.turnover) == (0, 0, 0, 0)
    undefined = (p.sharpe, p.win_rate, p.expectancy, p.profit_factor.value, p.sortino.value)
    assert undefined == (None,) * 5
    assert not p.profit_factor.is_infinite


def test_drawdown_is_positive_and_in_parts_of_the_notional() -> None:
    equity = np.array([900.0, 1100, 1050, 1300, 1000])
    assert drawdown(equity, NOTIONAL).tolist() == pytest.approx([0.1, 0, 0.05, 0, 0.3])


def test_drawdowns_last_until_the_peak_is_reached_again() -> None:
    d = judged([1100, 1000, 900, 1000, 1100, 1050, 1200]).drawdowns
    assert (d.deepest, d.average) == pytest.approx((0.2, 0.125))
    assert (d.deepest_bars, d.average_bars) == (3, 2)


def test_exposure_and_turnover() -> None:
    p = judged([1000, 1000, 1000, 1000], 0.0, held=[True, False, False, False])
    assert p.exposure == 0.25
    assert p.turnover == 2  # 10 pieces at 100, bought and sold, for 1000


def test_excursions_are_positive_and_turn_with_the_side() -> None:
    trades = trades_of(0.0, 0.0)
    trades["side"], trades["lowest"], trades["highest"] = [1, -1], 97, 110
    against, in_favour = excursions(trades)
    assert against.tolist() == pytest.approx([0.03, 0.1])
    assert in_favour.tolist() == pytest.approx([0.1, 0.03])


def test_a_bucket_sums_up_the_trades_of_a_side() -> None:
    trades = trades_of(20.0, -10.0, 0.0)
    trades["exit"] = [2, 3, 4]
    trades["reason"][1] = ExitReason.STOP
    b = bucket("long", trades, NOTIONAL)
    assert (b.trades, b.wins, b.losses, b.pnl) == (3, 1, 1, 10)
    assert (b.best_return, b.worst_return, b.median_return) == (0.02, -0.01, 0.0)
    assert b.mean_bars_held == 3
    assert b.exit_reasons == {"stop": 1, "time": 2}


@given(st.lists(st.integers(-5, 5).map(float), min_size=1, max_size=60))
def test_one_pass_over_the_curve_finds_what_plain_numpy_finds(steps: list[float]) -> None:
    equity = NOTIONAL + 100 * np.cumsum(steps)
    returns = np.array(steps) / 10
    sums = read_curve(equity, NOTIONAL)
    under_water = drawdown(equity, NOTIONAL)
    episodes = [list(g) for wet, g in groupby(under_water, lambda d: d > 0) if wet]
    assert sums.mean == pytest.approx(returns.mean(), abs=1e-12)
    assert sums.squares == pytest.approx(returns.var() * len(steps), abs=1e-9)
    assert sums.spread == pytest.approx(np.ptp(returns), abs=1e-12)
    assert sums.gains - sums.losses == pytest.approx(returns.sum(), abs=1e-9)
    assert sums.losing_squares == pytest.approx((returns[returns < 0] ** 2).sum(), abs=1e-9)
    assert sums.lowest == equity.min()
    assert sums.deepest == pytest.approx(under_water.max())
    assert (sums.drawdowns, sums.drawdown_bars) == (len(episodes), sum(map(len, episodes)))
    assert sums.drawdown_depths == pytest.approx(sum(map(max, episodes)))
    deepest = max(episodes, key=max, default=[])
    assert sums.deepest_bars == len(deepest)


@given(bars=markets(), folds=fold_thresholds(), rules=all_settings())
@settings(deadline=None)
def test_equity_ends_with_the_sum_of_the_trades(
    bars: list[Bar], folds: dict[int, FoldThresholds], rules: Settings
) -> None:
    outcome, _ = run_kernel(bars, folds, rules)
    earned = outcome.trades["pnl"].sum()
    assert outcome.equity[-1] == pytest.approx(rules.notional + earned, abs=1e-9)
    long = outcome.trades["pnl"][outcome.trades["side"] > 0].sum()
    assert outcome.profit_long[-1] == pytest.approx(long, abs=1e-9)
