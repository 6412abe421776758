"""What is told of a simulation: sides, buy and hold, warnings, tables."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings

from services.simulator.domain import FoldThresholds, Settings, Threshold, find_signals
from services.simulator.engine import simulate
from services.simulator.report import Report, Simulated, buy_and_hold, report
from services.simulator.tables import EQUITY, TRADES, equity_batch, trades_batch
from tests.unit.simulator.markets import (
    all_settings,
    as_arrays,
    fold_thresholds,
    markets,
    thresholds,
)
from tests.unit.simulator.reference import Bar
from tests.unit.simulator.test_rules import BUY, IDLE, SELL, bar

FOLDS = {0: thresholds(0, 1.0, -1.0), 1: thresholds(1, 1.0, -1.0)}


def simulated(
    bars: list[Bar], rules: Settings, folds: dict[int, FoldThresholds] | None = None
) -> Simulated:
    folds = folds or FOLDS
    arrays, placed = as_arrays(bars)
    signals = find_signals(placed, list(folds.values()), rules)
    outcome = simulate(arrays, signals, placed.last_of_fold, rules)
    return Simulated(
        bars=arrays,
        placed=placed,
        signals=signals,
        settings=rules,
        folds=list(folds.values()),
        outcome=outcome,
    )


def told(*bars: Bar, folds: dict[int, FoldThresholds] | None = None, **rules: Any) -> Report:
    return report(simulated(list(bars), Settings(**rules), folds), 6000.0)


def test_long_and_short_add_up_to_all() -> None:
    r = told(BUY, SELL, bar(110), bar(100, close=120))
    assert (r.all.trades, r.long_only.trades, r.short_only.trades) == (2, 1, 1)
    both = r.long_only.total_return + r.short_only.total_return
    assert r.all.total_return == pytest.approx(both)
    assert [b.side for b in r.buckets] == ["long", "short"]


def test_a_side_that_did_not_trade_has_no_bucket() -> None:
    assert [b.side for b in told(BUY, IDLE).buckets] == ["long"]


def test_buy_and_hold_runs_from_the_first_open_to_the_last_close_at_the_same_costs() -> None:
    arrays, _ = as_arrays([bar(100, close=110), bar(110, close=150)])
    curve = buy_and_hold(arrays, Settings(fee_bps=100), 6000.0)
    assert curve.equity.tolist() == pytest.approx([1090, 1500 - 10 - 15])
    assert curve.trades["pnl"][0] == pytest.approx(475)


def test_insolvency_is_flagged_and_takes_the_cagr_away() -> None:
    r = told(SELL, IDLE, bar(300), bar(100))
    assert (r.insolvent, r.all.cagr) == (True, None)
    assert any("insolvent" in w for w in r.warnings)


def test_costs_of_zero_are_said_aloud() -> None:
    said = "Fees and slippage are 0 bps: real trades cost more."
    assert said in told(BUY, IDLE).warnings
    assert said not in told(BUY, IDLE, fee_bps=1.0).warnings


def test_folds_that_learned_nothing_are_counted() -> None:
    lazy = {0: thresholds(0, 1.0, -1.0, learned_nothing=True), 1: FOLDS[1]}
    warnings = told(BUY, IDLE, bar(fold=1), folds=lazy).warnings
    assert "1 of 2 folds learned nothing and gave no signals." in warnings


def test_folds_that_are_heard_anyway_are_counted_beside_constant_ones() -> None:
    folds = {
        0: thresholds(0, 1.0, -1.0, learned_nothing=True),
        1: thresholds(1, None, None, learned_nothing=True, is_constant=True),
    }
    bars = BUY, IDLE, bar(fold=1)
    warnings = told(*bars, folds=folds, signals_when_learned_nothing=True).warnings
    assert "1 of 2 folds learned nothing and gave no signals." in warnings
    assert "1 of 2 folds learned nothing and gave signals anyway." in warnings


def test_unset_thresholds_and_those_against_the_sign_are_counted() -> None:
    odd = {0: thresholds(0, -0.5, None)}
    warnings = told(BUY, IDLE, folds=odd).warnings
    assert any(w.startswith("1 of 1 folds have a long threshold of 0 or less") for w in warnings)
    assert "1 of 1 folds have no short threshold and gave no short signals." in warnings


def test_zero_thresholds_are_not_warned_of() -> None:
    s = simulated([BUY, IDLE], Settings(threshold=Threshold.ZERO, fee_bps=1))
    assert not any("threshold of" in w for w in report(s, 6000.0).warnings)


def test_bars_without_prediction_are_counted() -> None:
    warnings = told(BUY, bar(says=None), IDLE).warnings
    assert any(w.startswith("1 bars") for w in warnings)


def test_the_tables_say_where_and_when() -> None:
    s = simulated([BUY, IDLE, SELL, bar(110), IDLE], Settings())
    trade = trades_batch(s.bars, s.placed, s.outcome).to_pylist()[0]
    hour = 3_600_000
    assert (trade["timestamp_ms"], trade["side"], trade["fold"]) == (hour, "long", 0)
    indices = [trade[f"{e}_bar_index"] for e in ("entry_signal", "entry_fill", "exit_signal")]
    assert indices == [10, 11, 12]
    assert (trade["exit_fill_ohlcv_index"], trade["exit_fill_ts_ms"]) == (23, 3 * hour)
    assert (trade["entry_prediction"], trade["exit_prediction"]) == (1, -1)
    assert (trade["bars_held"], trade["exit_reason"]) == (2, "reversal")
    assert trade["return_pct"] == pytest.approx(10)
    equity = equity_batch(s.bars, s.placed, s.outcome).to_pylist()[3]
    assert (equity["bar_index"], equity["ohlcv_index"], equity["timestamp_ms"]) == (
        13,
        23,
        3 * hour,
    )


@given(bars=markets(), folds=fold_thresholds(), rules=all_settings())
@settings(deadline=None)
def test_tables_and_report_stand_for_any_outcome(
    bars: list[Bar], folds: dict[int, FoldThresholds], rules: Settings
) -> None:
    s = simulated(bars, rules, folds)
    trades, equity = (f(s.bars, s.placed, s.outcome) for f in (trades_batch, equity_batch))
    trades.validate(full=True)
    equity.validate(full=True)
    assert (trades.schema, equity.schema) == (TRADES, EQUITY)
    assert equity.num_rows == len(bars)
    r = report(s, 6000.0)
    assert r.all.trades == trades.num_rows == r.long_only.trades + r.short_only.trades
    assert min(trades["mae_pct"].to_pylist() + trades["mfe_pct"].to_pylist(), default=0) >= 0
    assert all(w.endswith(".") for w in r.warnings)
