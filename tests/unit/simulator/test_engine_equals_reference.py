"""The kernel and the slow reference agree on everything, whatever market and settings."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from services.simulator.domain import ExitReason, FoldThresholds, Settings
from services.simulator.engine import Outcome
from tests.unit.simulator.markets import all_settings, fold_thresholds, markets, run_kernel
from tests.unit.simulator.reference import Bar, Reference

COUNTED = ("side", "entry_signal", "entry", "exit_signal", "exit")
MEASURED = ("entry_price", "exit_price", "quantity", "fees", "pnl")


def assert_equal(kernel: Outcome, reference: Reference) -> None:
    trades = reference.trades
    reasons = [ExitReason(code).label for code in kernel.trades["reason"]]
    assert reasons == [t.reason for t in trades]
    for name in COUNTED:
        assert kernel.trades[name].tolist() == [getattr(t, name) for t in trades], name
    for name in MEASURED:
        expected = [getattr(t, name) for t in trades]
        np.testing.assert_allclose(kernel.trades[name], expected, rtol=1e-12, atol=1e-9)
    assert kernel.trades["lowest"].tolist() == [min(t.seen) for t in trades]
    assert kernel.trades["highest"].tolist() == [max(t.seen) for t in trades]
    np.testing.assert_allclose(kernel.equity, reference.equity, rtol=1e-12, atol=1e-9)
    assert kernel.position.tolist() == reference.position
    assert kernel.n_unfilled == reference.n_unfilled
    assert kernel.n_died_at_gap == reference.n_died_at_gap


@given(bars=markets(), folds=fold_thresholds(), rules=all_settings())
@settings(max_examples=500, deadline=None)
def test_the_kernel_does_what_the_reference_does(
    bars: list[Bar], folds: dict[int, FoldThresholds], rules: Settings
) -> None:
    kernel, n_conflicting = run_kernel(bars, folds, rules)
    reference = Reference(bars, folds, rules).run()
    assert_equal(kernel, reference)
    assert n_conflicting == reference.n_conflicting


@given(bars=markets(), folds=fold_thresholds(), rules=all_settings(), data=st.data())
@settings(deadline=None)
def test_the_future_does_not_change_what_has_been_traded(
    bars: list[Bar], folds: dict[int, FoldThresholds], rules: Settings, data: st.DataObject
) -> None:
    known = data.draw(st.integers(1, len(bars)))
    early, _ = run_kernel(bars[:known], folds, rules)
    late, _ = run_kernel(bars, folds, rules)
    # The last known bar's fold end is not known yet, and its close may end the data.
    np.testing.assert_array_equal(early.equity[: known - 1], late.equity[: known - 1])
    np.testing.assert_array_equal(early.position[: known - 1], late.position[: known - 1])
