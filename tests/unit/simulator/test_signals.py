"""From prediction rows to the signals of a window."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.shared.errors import Conflict, DataLoss, InvalidRequest
from services.simulator.domain import (
    NO_FOLD,
    Bars,
    FoldThresholds,
    Placed,
    Predictions,
    Settings,
    Threshold,
    check_times,
    find_signals,
    place,
)
from tests.unit.simulator.markets import thresholds


def rows(*of: tuple[int, int, float]) -> Predictions:
    """Rows of (bar_index, fold, value), an hour apart."""
    bars, folds, values = (np.array(column) for column in zip(*of, strict=True))
    return Predictions(
        bar_index=bars.astype(np.int64),
        timestamp_ms=bars.astype(np.int64) * 3_600_000,
        fold=folds.astype(np.int64),
        value=values.astype(np.float64),
    )


def bars_of(placed: Placed) -> Bars:
    n = len(placed)
    price = np.ones(n)
    return Bars(
        first_ohlcv_index=0,
        timestamp_ms=(np.arange(n) + placed.first_bar_index) * 3_600_000,
        open=price,
        high=price,
        low=price,
        close=price,
        after_gap=np.zeros(n, dtype=np.bool_),
    )


def sides(placed: Placed, *folds: FoldThresholds, settings: Settings | None = None) -> list[int]:
    return [int(side) for side in find_signals(placed, folds, settings or Settings()).side]


def test_the_window_goes_from_the_first_to_the_last_predicted_bar() -> None:
    placed = place(rows((13, 0, 0.3), (10, 0, 0.1)))
    assert (placed.first_bar_index, placed.fold.tolist()) == (10, [0, NO_FOLD, NO_FOLD, 0])
    np.testing.assert_array_equal(placed.value, [0.1, np.nan, np.nan, 0.3])


def test_of_overlapping_tests_the_earliest_fold_counts() -> None:
    placed = place(rows((11, 1, 9.0), (10, 0, 1.0), (11, 0, 2.0), (12, 1, 3.0)))
    assert placed.value.tolist() == [1.0, 2.0, 3.0]
    assert (placed.fold.tolist(), placed.n_overlapping) == ([0, 0, 1], 1)


@given(
    st.lists(
        st.tuples(st.integers(0, 30), st.integers(0, 3), st.floats(-1, 1)),
        min_size=1,
        unique_by=lambda row: row[:2],
    )
)
def test_the_order_of_the_rows_does_not_matter(of: list[tuple[int, int, float]]) -> None:
    one, other = place(rows(*of)), place(rows(*reversed(of)))
    np.testing.assert_array_equal(one.value, other.value)
    np.testing.assert_array_equal(one.fold, other.fold)


def test_a_run_without_predictions_is_refused() -> None:
    nothing = np.empty(0, dtype=np.int64)
    empty = Predictions(bar_index=nothing, timestamp_ms=nothing, fold=nothing, value=np.empty(0))
    with pytest.raises(Conflict) as refused:
        place(empty)
    assert refused.value.reason == "NO_PREDICTIONS"


def test_predictions_and_bars_of_different_times_are_refused() -> None:
    placed = place(rows((10, 0, 0.1), (11, 0, 0.2)))
    check_times(placed, bars_of(placed))
    with pytest.raises(DataLoss, match="bar_index 10"):
        check_times(placed, bars_of(place(rows((20, 0, 0.1), (21, 0, 0.2)))))
    with pytest.raises(DataLoss, match="2 bars"):
        check_times(placed, bars_of(place(rows((10, 0, 0.1)))))


def test_the_thresholds_of_the_fold_that_predicted_decide() -> None:
    placed = place(rows((0, 0, 0.5), (1, 1, 0.5), (2, 1, -0.5)))
    assert sides(placed, thresholds(0, 0.4, -0.4), thresholds(1, 0.6, -0.4)) == [1, 0, -1]


def test_optimal_and_percentile_thresholds_are_not_mixed_up() -> None:
    placed = place(rows((0, 0, 0.5)))
    fold = FoldThresholds(
        fold=0,
        by_kind={Threshold.PERCENTILE: (0.4, None), Threshold.OPTIMAL: (0.6, None)},
        learned_nothing=False,
    )
    assert sides(placed, fold) == [1]
    assert sides(placed, fold, settings=Settings(threshold=Threshold.OPTIMAL)) == [0]


def test_zero_thresholds_are_thresholds_and_unset_ones_give_no_signals() -> None:
    placed = place(rows((0, 0, 0.1), (1, 0, -0.1)))
    unset = thresholds(0, None, None)
    assert sides(placed, unset) == [0, 0]
    assert sides(placed, unset, settings=Settings(threshold=Threshold.ZERO)) == [1, -1]
    long_only = Settings(threshold=Threshold.OWN, long_threshold=0.0)
    assert sides(placed, unset, settings=long_only) == [1, 0]


def test_a_fold_that_learned_nothing_decides_nothing_and_can_be_heard_anyway() -> None:
    placed = place(rows((0, 0, 0.5), (1, 1, 0.5)))
    folds = [thresholds(0, 0.4, -0.4, learned_nothing=True), thresholds(1, 0.4, -0.4)]
    signals = find_signals(placed, folds, Settings())
    assert signals.side.tolist() == [0, 1]
    np.testing.assert_array_equal(signals.judged, [np.nan, 0.5])
    assert sides(placed, *folds, settings=Settings(signals_when_learned_nothing=True)) == [1, 1]


@pytest.mark.parametrize("kind", [Threshold.ZERO, Threshold.OWN])
def test_a_constant_model_is_never_heard_whatever_the_thresholds(kind: Threshold) -> None:
    placed = place(rows((0, 0, 0.5), (1, 1, 0.5)))
    lazy = thresholds(1, 0.4, -0.4, learned_nothing=True)
    constant = thresholds(0, None, None, learned_nothing=True, is_constant=True)
    own = 0.4 if kind is Threshold.OWN else None
    asked = Settings(threshold=kind, long_threshold=own, signals_when_learned_nothing=True)
    signals = find_signals(placed, [constant, lazy], asked)
    assert signals.side.tolist() == [0, 1]
    np.testing.assert_array_equal(signals.judged, [np.nan, 0.5])


def test_predictions_of_a_fold_without_thresholds_are_refused() -> None:
    with pytest.raises(InvalidRequest, match="fold 1"):
        sides(place(rows((0, 1, 0.5))), thresholds(0, 0.4, -0.4))


def test_a_fold_ends_where_the_next_bar_is_not_its_own() -> None:
    placed = place(rows((0, 0, 0.0), (1, 0, 0.0), (2, 1, 0.0), (4, 1, 0.0)))
    assert placed.last_of_fold.tolist() == [False, True, True, False, False]
