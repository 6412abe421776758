"""One example for every rule of DOMAIN §7. Predictions of 1 or more are long, -1 or less short."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from services.simulator.domain import ExitReason, Intrabar, Mode, Settings, Threshold
from services.simulator.engine import Outcome
from tests.unit.simulator.markets import run_kernel, thresholds
from tests.unit.simulator.reference import Bar

FOLDS = {0: thresholds(0, 1.0, -1.0), 1: thresholds(1, 5.0, -5.0)}


def bar(
    open_: float = 100,
    high: float | None = None,
    low: float | None = None,
    close: float | None = None,
    *,
    says: float | None = 0.0,
    fold: int = 0,
    after_gap: bool = False,
) -> Bar:
    close = open_ if close is None else close
    return Bar(
        open=open_,
        high=max(open_, close) if high is None else high,
        low=min(open_, close) if low is None else low,
        close=close,
        prediction=says,
        fold=None if says is None else fold,
        after_gap=after_gap,
    )


BUY = bar(says=1)
SELL = bar(says=-1)
IDLE = bar()


def run(*bars: Bar, **settings: Any) -> Outcome:
    return run_kernel(bars, FOLDS, Settings(**settings))[0]


def exits(outcome: Outcome) -> list[tuple[str, int, float]]:
    """Reason, bar and price of each exit."""
    return [
        (ExitReason(t["reason"]).label, int(t["exit"]), round(float(t["exit_price"]), 9))
        for t in outcome.trades
    ]


def entries(outcome: Outcome) -> list[tuple[int, int]]:
    """Side and bar of each entry."""
    return [(int(t["side"]), int(t["entry"])) for t in outcome.trades]


# -- entries


def test_a_signal_fills_at_the_open_of_the_next_bar() -> None:
    outcome = run(BUY, bar(101, close=103), bar(104))
    assert entries(outcome) == [(1, 1)]
    assert outcome.trades["entry_price"].tolist() == [101]


def test_an_open_position_is_closed_at_the_last_close() -> None:
    assert exits(run(BUY, IDLE, bar(100, close=107))) == [("end_of_data", 2, 107)]


def test_a_signal_on_the_last_bar_is_counted_and_does_not_fill() -> None:
    outcome = run(IDLE, BUY)
    assert (outcome.n_unfilled, entries(outcome)) == (1, [])


def test_there_is_one_position_at_a_time() -> None:
    assert entries(run(BUY, BUY, BUY, IDLE)) == [(1, 1)]


@pytest.mark.parametrize(
    ("mode", "sides"), [(Mode.LONG, [1]), (Mode.SHORT, [-1]), (Mode.DUAL, [1, -1])]
)
def test_only_the_sides_of_the_mode_are_entered(mode: Mode, sides: list[int]) -> None:
    outcome = run(BUY, SELL, IDLE, IDLE, mode=mode)
    assert [side for side, _ in entries(outcome)] == sides


def test_a_prediction_on_the_threshold_is_a_signal() -> None:
    outcome = run(bar(says=0.0), IDLE, threshold=Threshold.OWN, long_threshold=0.0)
    assert entries(outcome) == [(1, 1)]


def test_both_thresholds_at_once_are_no_signal_but_counted() -> None:
    rules = Settings(threshold=Threshold.OWN, long_threshold=-1, short_threshold=1)
    outcome, n_conflicting = run_kernel([IDLE, IDLE], FOLDS, rules)
    assert (n_conflicting, entries(outcome)) == (2, [])


# -- exits inside a bar


def test_a_fixed_stop_fills_at_its_level_when_touched() -> None:
    outcome = run(BUY, IDLE, bar(99, low=97), stop_fraction=0.03)
    assert exits(outcome) == [("stop", 2, 97)]


def test_a_stop_is_tried_on_the_entry_bar() -> None:
    assert exits(run(BUY, bar(100, low=96), stop_fraction=0.03)) == [("stop", 1, 97)]


def test_a_gap_through_the_stop_fills_at_the_open() -> None:
    outcome = run(BUY, IDLE, bar(95, high=101), stop_fraction=0.03)
    assert exits(outcome) == [("stop", 2, 95)]


def test_an_open_on_the_stop_is_stopped_before_any_target() -> None:
    opens_there = bar(97, high=110)
    rules = {"stop_fraction": 0.03, "target_fraction": 0.05, "intrabar": Intrabar.TARGET_FIRST}
    assert exits(run(BUY, IDLE, opens_there, **rules)) == [("stop", 2, 97)]


def test_a_trailing_stop_of_3_percent_below_a_peak_of_105_is_101_85() -> None:
    outcome = run(
        BUY, bar(100, high=105), bar(104, low=101.85), stop_fraction=0.03, trailing_stop=True
    )
    assert exits(outcome) == [("trailing_stop", 2, 101.85)]


def test_a_trailing_stop_fills_at_the_open_when_the_bar_opens_below_it() -> None:
    outcome = run(
        BUY, bar(100, high=105), bar(101, high=103), stop_fraction=0.03, trailing_stop=True
    )
    assert exits(outcome) == [("trailing_stop", 2, 101)]


def test_the_bar_under_test_does_not_move_its_own_trailing_stop() -> None:
    outcome = run(BUY, bar(100, high=110, low=98), bar(110), stop_fraction=0.03, trailing_stop=True)
    assert exits(outcome) == [("end_of_data", 2, 110)]


def test_a_short_trails_the_lowest_low_upwards() -> None:
    outcome = run(
        SELL, bar(100, low=90), bar(92, high=92.7), stop_fraction=0.03, trailing_stop=True
    )
    assert exits(outcome) == [("trailing_stop", 2, 92.7)]


def test_a_target_fills_at_its_level_and_a_gap_through_it_at_the_open() -> None:
    assert exits(run(BUY, bar(100, high=106), target_fraction=0.05)) == [("target", 1, 105)]
    assert exits(run(BUY, IDLE, bar(108), target_fraction=0.05)) == [("target", 2, 108)]


@pytest.mark.parametrize(
    ("intrabar", "expected"),
    [(Intrabar.STOP_FIRST, ("stop", 1, 97)), (Intrabar.TARGET_FIRST, ("target", 1, 105))],
)
def test_a_bar_that_holds_stop_and_target_takes_the_stop_unless_told_otherwise(
    intrabar: Intrabar, expected: tuple[str, int, float]
) -> None:
    wide = bar(100, high=110, low=90)
    outcome = run(BUY, wide, stop_fraction=0.03, target_fraction=0.05, intrabar=intrabar)
    assert exits(outcome) == [expected]


def test_a_signal_at_the_close_of_the_stopping_bar_may_enter_at_the_next_open() -> None:
    stopping = bar(100, low=90, says=1)
    assert entries(run(BUY, stopping, IDLE, stop_fraction=0.03)) == [(1, 1), (1, 2)]


def test_nothing_is_entered_in_the_cooldown_bars_after_a_stop() -> None:
    stopping = bar(100, low=90, says=1)
    outcome = run(BUY, stopping, BUY, BUY, BUY, IDLE, stop_fraction=0.03, cooldown_bars=2)
    assert entries(outcome) == [(1, 1), (1, 4)]


def test_a_target_needs_no_cooldown() -> None:
    reaching = bar(100, high=110, says=1)
    outcome = run(BUY, reaching, IDLE, target_fraction=0.05, cooldown_bars=2)
    assert entries(outcome) == [(1, 1), (1, 2)]


# -- exits decided at the close


def test_an_opposite_signal_closes_and_opens_the_other_side_at_one_open() -> None:
    outcome = run(BUY, SELL, bar(102), IDLE)
    assert exits(outcome)[0] == ("reversal", 2, 102)
    assert entries(outcome) == [(1, 1), (-1, 2)]


def test_an_opposite_signal_only_closes_when_the_mode_has_one_side() -> None:
    outcome = run(BUY, SELL, bar(102), IDLE, mode=Mode.LONG)
    assert exits(outcome) == [("reversal", 2, 102)]


def test_an_opposite_signal_is_ignored_when_reversal_is_off() -> None:
    outcome = run(BUY, SELL, IDLE, honor_signal_reversal=False)
    assert exits(outcome) == [("end_of_data", 2, 100)]


def test_max_holding_bars_of_n_fills_n_bars_after_the_entry() -> None:
    outcome = run(BUY, *[IDLE] * 5, max_holding_bars=3)
    assert exits(outcome) == [("time", 4, 100)]


def test_a_same_side_signal_at_the_close_of_a_time_exit_does_not_enter_again() -> None:
    outcome = run(BUY, BUY, BUY, IDLE, max_holding_bars=1)
    assert entries(outcome) == [(1, 1), (1, 3)]


def test_an_opposite_signal_at_the_close_of_a_time_exit_opens_the_other_side() -> None:
    outcome = run(BUY, SELL, IDLE, max_holding_bars=1, honor_signal_reversal=False)
    assert entries(outcome) == [(1, 1), (-1, 2)]


def test_a_prediction_too_weak_for_the_exit_strength_closes() -> None:
    outcome = run(bar(says=2), bar(says=1), bar(says=0.99), IDLE, exit_strength=0.5)
    assert exits(outcome) == [("signal", 3, 100)]


def test_a_prediction_of_another_sign_closes_when_signal_exits_are_on() -> None:
    outcome = run(BUY, bar(says=-0.5), IDLE, exit_strength=0.0)
    assert exits(outcome) == [("signal", 2, 100)]


def test_a_bar_without_prediction_gives_no_signal_exit() -> None:
    outcome = run(BUY, bar(says=None), bar(says=1), exit_strength=0.5)
    assert exits(outcome) == [("end_of_data", 2, 100)]


def test_a_reversal_goes_before_time_and_signal_exit() -> None:
    outcome = run(BUY, SELL, IDLE, exit_strength=0.5, max_holding_bars=1)
    assert exits(outcome)[0] == ("reversal", 2, 100)


def test_a_time_exit_goes_before_a_signal_exit() -> None:
    outcome = run(BUY, IDLE, IDLE, exit_strength=0.5, max_holding_bars=1)
    assert exits(outcome) == [("time", 2, 100)]


# -- folds


def test_a_position_crosses_a_folds_edge_under_the_thresholds_of_the_new_fold() -> None:
    new = [bar(says=-1, fold=1), bar(says=-5, fold=1), bar(fold=1)]
    assert exits(run(BUY, IDLE, *new))[0] == ("reversal", 4, 100)


def test_flat_between_folds_closes_at_the_first_open_of_the_next_fold() -> None:
    outcome = run(BUY, IDLE, bar(101, fold=1), bar(fold=1), flat_between_folds=True)
    assert exits(outcome) == [("end_of_fold", 2, 101)]


def test_flat_between_folds_opens_nothing_on_the_last_signal_of_a_fold() -> None:
    outcome = run(IDLE, BUY, bar(fold=1), bar(fold=1), flat_between_folds=True)
    assert entries(outcome) == []
    turning = run(BUY, SELL, bar(fold=1), bar(fold=1), flat_between_folds=True)
    assert exits(turning) == [("reversal", 2, 100)]


@pytest.mark.parametrize(("anyway", "trades"), [(False, 0), (True, 1)])
def test_a_fold_that_learned_nothing_gives_signals_only_when_asked(
    anyway: bool, trades: int
) -> None:
    lazy = {0: replace(FOLDS[0], learned_nothing=True)}
    rules = Settings(signals_when_learned_nothing=anyway)
    outcome, _ = run_kernel([BUY, IDLE, IDLE], lazy, rules)
    assert len(outcome.trades) == trades


# -- gaps


def test_an_entry_order_dies_at_a_marked_gap() -> None:
    outcome = run(BUY, bar(after_gap=True), IDLE)
    assert (outcome.n_died_at_gap, entries(outcome)) == (1, [])


def test_an_exit_fills_at_the_first_open_after_a_gap_and_its_reversal_dies() -> None:
    outcome = run(BUY, SELL, bar(90, after_gap=True), IDLE)
    assert exits(outcome) == [("reversal", 2, 90)]
    assert outcome.n_died_at_gap == 1


# -- money


def test_costs_go_against_the_trade_on_both_sides() -> None:
    outcome = run(BUY, IDLE, bar(110), fee_bps=10, slippage_bps=100, max_holding_bars=1)
    trade = outcome.trades[0]
    quantity = 1000 / 101
    fees = 1 + quantity * 108.9 * 0.001
    assert (trade["entry_price"], trade["exit_price"]) == (101, pytest.approx(108.9))
    assert trade["fees"] == pytest.approx(fees)
    assert trade["pnl"] == pytest.approx(quantity * (108.9 - 101) - fees)


def test_a_stop_slips_and_a_target_gets_its_price() -> None:
    costs = {"slippage_bps": 100.0, "stop_fraction": 0.1, "target_fraction": 0.1}
    stopped = run(BUY, bar(100, low=80), **costs)
    reached = run(BUY, bar(100, high=120), **costs)
    assert exits(stopped) == [("stop", 1, round(101 * 0.9 * 0.99, 9))]
    assert exits(reached) == [("target", 1, round(101 * 1.1, 9))]


def test_equity_is_marked_to_market_and_ends_with_what_was_realised() -> None:
    outcome = run(BUY, bar(100, close=110), bar(110, close=120), fee_bps=100)
    fees = 10 + 12
    assert outcome.equity.tolist() == pytest.approx([1000, 1090, 1200 - fees])
    assert outcome.position.tolist() == [0, 1, 1]


def test_a_simulation_goes_on_after_equity_fell_below_zero() -> None:
    outcome = run(SELL, IDLE, bar(300), bar(says=1), bar(100), bar(110, close=110))
    assert outcome.equity.min() < 0
    assert entries(outcome) == [(-1, 1), (1, 4)]


def test_excursions_count_bars_held_to_their_close_and_the_fills() -> None:
    outcome = run(BUY, bar(100, high=104, low=99), bar(100, high=120, low=96), stop_fraction=0.03)
    assert (outcome.trades["lowest"][0], outcome.trades["highest"][0]) == (97, 104)
