from __future__ import annotations

import itertools
import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.shared.evaluation import OPTIMAL, OWN, PERCENTILE, ZERO, Pair
from services.trainer import thresholds
from services.trainer.domain import Floats, Optimal
from services.trainer.thresholds import from_validation, optimal_long, optimal_short, pairs


def brute_force_long(prediction: Floats, target: Floats) -> Optimal | None:
    """Every midpoint tried for itself, in exact arithmetic."""
    distinct = sorted({Fraction(p) for p in prediction.tolist()})
    best: tuple[tuple[Fraction | float, int], Fraction] | None = None
    for low, high in itertools.pairwise(distinct):
        middle = (low + high) / 2
        returns = [Fraction(t) for p, t in zip(prediction, target, strict=True) if p >= middle]
        if len(returns) < max(math.ceil(Fraction(len(target), 20)), 20):
            continue
        wins = sum((r for r in returns if r > 0), Fraction(0))
        losses = -sum((r for r in returns if r < 0), Fraction(0))
        if losses == 0 and wins == 0:
            continue
        factor = wins / losses if losses else math.inf
        if factor > 1 and (best is None or (factor, len(returns)) > best[0]):
            best = (factor, len(returns)), middle
    if best is None:
        return None
    (factor, cases), middle = best
    return Optimal(float(middle), cases, None if factor == math.inf else float(factor))


# Small integers: sums are exact, and ties are frequent.
validation = st.integers(20, 60).flatmap(
    lambda n: st.tuples(
        st.lists(st.integers(-8, 8), min_size=n, max_size=n),
        st.lists(st.integers(-3, 4), min_size=n, max_size=n),
    )
)


@given(validation)
def test_the_optimal_long_threshold_is_the_best_of_all_midpoints(
    data: tuple[list[int], list[int]],
) -> None:
    prediction, target = (np.array(part, dtype=np.float64) for part in data)
    assert optimal_long(prediction, target) == brute_force_long(prediction, target)


@given(validation)
def test_the_optimal_short_threshold_is_the_best_of_all_midpoints(
    data: tuple[list[int], list[int]],
) -> None:
    prediction, target = (np.array(part, dtype=np.float64) for part in data)
    mirrored = brute_force_long(-prediction, -target)
    found = optimal_short(prediction, target)
    assert (found is None) == (mirrored is None)
    if found and mirrored:
        assert found == Optimal(-mirrored.threshold, mirrored.cases, mirrored.profit_factor)


@given(validation, st.sampled_from([0.1, 0.3, 0.7, 1e-4]))
def test_ties_and_a_profit_factor_of_one_are_seen_through_the_rounding_of_sums(
    data: tuple[list[int], list[int]], unit: float
) -> None:
    prediction, target = (np.array(part, dtype=np.float64) for part in data)
    expected, found = brute_force_long(prediction, target), optimal_long(prediction, target * unit)
    assert (expected is None) == (found is None)
    if expected and found:
        assert (found.threshold, found.cases) == (expected.threshold, expected.cases)
        assert found.profit_factor == pytest.approx(expected.profit_factor)


def test_wins_that_only_rounding_puts_above_the_losses_are_no_edge() -> None:
    prediction = np.array([0.0] * 20 + [1.0] * 21)
    target = np.array([0.0] * 20 + [0.1, 0.2, -0.3] * 7)
    assert optimal_long(prediction, target) is None


@given(validation)
def test_an_optimal_threshold_selects_the_cases_it_reports(
    data: tuple[list[int], list[int]],
) -> None:
    prediction, target = (np.array(part, dtype=np.float64) for part in data)
    long, short = optimal_long(prediction, target), optimal_short(prediction, target)
    assert long is None or (prediction >= long.threshold).sum() == long.cases
    assert short is None or (prediction <= short.threshold).sum() == short.cases


def test_neighbouring_floats_are_still_told_apart() -> None:
    low = 1.0
    high = np.nextafter(low, 2)
    prediction = np.array([low] * 20 + [high] * 20)
    target = np.array([-1.0] * 20 + [1.0] * 20)
    long, short = optimal_long(prediction, target), optimal_short(prediction, target)
    assert long == Optimal(float(high), 20, None)
    assert short == Optimal(low, 20, None)


def test_an_optimal_threshold_keeps_five_percent_when_that_is_more_than_twenty() -> None:
    prediction = np.arange(1000.0)
    target = np.where(prediction >= 970, 100.0, -1.0)
    found = optimal_long(prediction, target)
    assert found is not None
    assert found.cases == 50


def test_no_optimal_threshold_where_the_best_profit_factor_is_not_above_one() -> None:
    prediction = np.arange(100.0)
    target = np.tile([1.0, -1.0], 50)
    assert optimal_long(prediction, -np.abs(target)) is None
    assert optimal_long(prediction, target[::-1] * 0) is None


def test_percentile_thresholds_interpolate_linearly() -> None:
    prediction = np.arange(101.0) * 2
    found = from_validation(prediction, np.zeros(101))
    assert (found.short_percentile, found.long_percentile) == pytest.approx((10.0, 190.0))
    assert found.long_percentile_share == pytest.approx(6 / 101)


def test_equal_predictions_give_no_thresholds() -> None:
    found = from_validation(np.full(200, 0.3), np.arange(200.0) - 50)
    assert (found.long_percentile, found.short_percentile) == (None, None)
    assert (found.long_optimal, found.short_optimal) == (None, None)
    assert "equal" in "".join(thresholds.warnings(found, None))


def test_few_distinct_predictions_that_select_too_many_rows_warn() -> None:
    prediction = np.array([-1.0] * 60 + [0.0] * 110 + [1.0] * 30)
    said = list(thresholds.warnings(from_validation(prediction, np.zeros(200)), None))
    assert len([text for text in said if "15.0%" in text and "long" in text]) == 1
    assert len([text for text in said if "30.0%" in text and "short" in text]) == 1


def test_a_threshold_on_the_wrong_side_of_zero_warns_for_every_kind_but_zero() -> None:
    prediction = np.linspace(1, 2, 100)
    found = from_validation(prediction, np.zeros(100))
    said = " ".join(thresholds.warnings(found, Pair(0.0, None)))
    assert "percentile short threshold" in said
    assert "own long threshold 0 " in said
    assert "percentile long" not in said
    assert "zero" not in said


def test_every_kind_is_judged_and_own_only_when_given() -> None:
    found = from_validation(np.arange(100.0), np.zeros(100))
    assert list(pairs(found, None)) == [PERCENTILE, OPTIMAL, ZERO]
    both = pairs(found, Pair(0.0, -1.0))
    assert (both[ZERO], both[OWN]) == (Pair(0.0, 0.0), Pair(0.0, -1.0))
