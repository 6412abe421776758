from __future__ import annotations

from dataclasses import replace

import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from services.shared.evaluation import (
    FittedRows,
    FoldEvaluation,
    FoldRows,
    Pair,
    PooledEvaluation,
    Side,
    evaluate,
    pool,
    profit_factor,
    signal_masks,
)

NOTHING = FittedRows(np.empty(0), np.empty(0))


def fold(
    prediction: list[float],
    target: list[float],
    *,
    pair: Pair | None = None,
    first: int = 0,
    gives_signals: bool = True,
    fitted_mean: float = 0.0,
) -> FoldRows:
    return FoldRows(
        bar_index=np.arange(first, first + len(target)),
        prediction=np.array(prediction, dtype=np.float64),
        target=np.array(target, dtype=np.float64),
        thresholds={"own": pair or Pair(0.5, -0.5)},
        fitted_mean=fitted_mean,
        gives_signals=gives_signals,
    )


def judged(rows: FoldRows) -> FoldEvaluation:
    return evaluate(rows, NOTHING)


def pooled(*folds: FoldRows) -> PooledEvaluation:
    return pool(folds, [judged(rows) for rows in folds])


def test_a_long_earns_the_target_and_a_short_its_opposite() -> None:
    own = judged(fold([1, 1, 1, 1, -1, -1, 0, 0], [3, -1, 0, 1, -2, 1, 9, 9])).signals["own"]
    assert own.long == Side(
        n_signals=4,
        signal_rate=0.5,
        hit_rate=0.5,
        profit_factor=4.0,
        profit_factor_is_infinite=False,
        sum=3.0,
        mean=0.75,
        median=0.5,
        std=float(np.std([3, -1, 0, 1], ddof=1)),
        profit_factor_train=None,
        profit_factor_train_is_infinite=False,
        wins_train=0.0,
        losses_train=0.0,
    )
    assert (own.short.sum, own.short.profit_factor, own.short.hit_rate) == (1.0, 2.0, 0.5)
    assert (own.dual.n_signals, own.dual.sum, own.dual.profit_factor) == (6, 4.0, 3.0)


def test_a_profit_factor_without_losses_is_none_and_infinite() -> None:
    assert profit_factor(np.array([1.0, 0.0])) == (None, True)


def test_a_profit_factor_without_wins_is_zero() -> None:
    assert profit_factor(np.array([-1.0, 0.0])) == (0.0, False)


@pytest.mark.parametrize("returns", [[], [0.0, 0.0]])
def test_a_profit_factor_of_nothing_is_none_and_not_infinite(returns: list[float]) -> None:
    assert profit_factor(np.array(returns)) == (None, False)


def test_a_threshold_of_zero_is_a_threshold_and_none_is_not() -> None:
    prediction = np.array([-1.0, 0.0, 1.0])
    long, short, both = signal_masks(prediction, Pair(0.0, None))
    assert long.tolist() == [False, True, True]
    assert not short.any()
    assert not both.any()


def test_a_row_that_is_long_and_short_at_once_is_neither_and_is_counted() -> None:
    own = judged(fold([0, 1, -1], [5, 1, -1], pair=Pair(0.0, 0.0))).signals["own"]
    assert (own.n_conflicting, own.long.n_signals, own.short.n_signals) == (1, 1, 1)
    assert own.dual.sum == 2.0


def test_figures_of_no_signals_are_none_but_their_sum_is_zero() -> None:
    side = judged(fold([0, 0], [1, -1])).signals["own"].dual
    assert (side.n_signals, side.signal_rate, side.sum) == (0, 0.0, 0.0)
    assert {side.hit_rate, side.profit_factor, side.mean, side.median, side.std} == {None}


def test_one_signal_has_no_standard_deviation() -> None:
    side = judged(fold([1, 0], [2, 1])).signals["own"].long
    assert (side.mean, side.std, side.profit_factor_is_infinite) == (2.0, None, True)


def test_a_row_without_a_target_is_not_judged() -> None:
    evaluation = judged(fold([1, 1], [2, np.nan]))
    assert (evaluation.n_rows, evaluation.n_judged) == (2, 1)
    assert evaluation.signals["own"].long.signal_rate == 1.0


def test_always_long_and_always_short_stand_beside_on_the_same_rows() -> None:
    evaluation = evaluate(
        fold([0, 0], [4, -1]), FittedRows(np.zeros(3), np.array([4.0, -2, np.nan]))
    )
    long, short = evaluation.always.long, evaluation.always.short
    assert (long.profit_factor, short.profit_factor) == (4.0, 0.25)
    assert (long.profit_factor_train, short.profit_factor_train) == (2.0, 0.5)


def test_the_training_profit_factor_is_that_of_the_fitted_rows() -> None:
    fitted = FittedRows(np.array([1.0, 1, -1, 0]), np.array([4.0, -2, 3, 100]))
    own = evaluate(fold([0], [1]), fitted).signals["own"]
    assert (own.long.profit_factor_train, own.short.profit_factor_train) == (2.0, 0.0)
    assert own.dual.profit_factor_train == 4 / 5


def test_a_fold_that_learned_nothing_gives_no_signals_but_stays_in_the_denominators() -> None:
    silent = fold([1, 1], [1, 1], gives_signals=False)
    assert judged(silent).signals["own"].dual.signal_rate == 0.0
    both = pooled(fold([1, 1], [1, -1]), replace(silent, bar_index=np.array([2, 3])))
    assert both.n_folds_without_signals == 1
    assert (both.signals["own"].long.n_signals, both.signals["own"].long.signal_rate) == (2, 0.5)


def test_r2_is_against_the_mean_of_the_fitted_part() -> None:
    errors = judged(fold([1, 3], [2, 4], fitted_mean=1.0)).errors
    assert errors.r2 == pytest.approx(1 - 2 / (1 + 9))
    assert (errors.rmse, errors.mae) == (1.0, 1.0)


def test_pooled_r2_measures_every_row_against_the_mean_of_its_own_fold() -> None:
    folds = fold([1, 3], [2, 4], fitted_mean=1.0), fold([0], [2], first=2, fitted_mean=5.0)
    assert pooled(*folds).errors.r2 == pytest.approx(1 - (1 + 1 + 4) / (1 + 9 + 9))


def test_spearman_sees_only_the_order_and_gives_ties_their_mean_rank() -> None:
    errors = judged(fold([1, 10, 100], [1, 2, 3])).errors
    assert errors.spearman == pytest.approx(1.0)
    assert errors.pearson is not None
    assert errors.pearson < 1
    assert judged(fold([1, 1, 2], [1, 2, 3])).errors.spearman == pytest.approx(np.sqrt(3) / 2)


@pytest.mark.parametrize("constant", [0.1, 1e30, -7.0])
def test_the_correlation_of_a_constant_is_none(constant: float) -> None:
    errors = judged(fold([constant] * 3, [1, 2, 3])).errors
    assert (errors.pearson, errors.spearman) == (None, None)


def test_pooled_and_mean_correlation_can_differ_in_sign() -> None:
    result = pooled(fold([1, 2, 3], [3, 2, 1]), fold([11, 12, 13], [13, 12, 11], first=3))
    assert result.errors.spearman is not None
    assert result.errors.spearman > 0
    assert result.errors_mean_over_folds.spearman == pytest.approx(-1)


def test_a_mean_over_folds_leaves_out_the_folds_where_the_figure_is_not_defined() -> None:
    result = pooled(fold([1, 2], [1, 2]), fold([5, 5], [1, 2], first=2))
    assert result.errors_mean_over_folds.pearson == pytest.approx(1)


def test_a_row_predicted_twice_counts_once_with_the_earliest_fold() -> None:
    result = pooled(fold([1, 1, 0], [1, 1, 1]), fold([-1, -1], [1, 7], first=2))
    assert (result.n_rows, result.n_overlapping) == (4, 1)
    assert (result.signals["own"].long.n_signals, result.signals["own"].short.sum) == (2, -7.0)


def test_every_fold_is_pooled_with_its_own_thresholds() -> None:
    result = pooled(
        fold([1, 1], [1, 2], pair=Pair(1.0, None)),
        fold([1, 1], [4, 8], first=2, pair=Pair(None, 1.0)),
    )
    assert (result.signals["own"].long.sum, result.signals["own"].short.sum) == (3.0, -12.0)


def test_pooled_training_figures_add_up_the_fitted_parts() -> None:
    folds = fold([0], [1]), fold([0], [1], first=1)
    fitted = (
        FittedRows(np.array([1.0, 1.0]), np.array([3.0, -1.0])),
        FittedRows(np.array([1.0, 1.0]), np.array([1.0, -3.0])),
    )
    evaluations = [evaluate(*both) for both in zip(folds, fitted, strict=True)]
    result = pool(folds, evaluations)
    assert result.signals["own"].long.profit_factor_train == 1.0
    assert result.always.short.profit_factor_train == 1.0


def test_no_folds_pool_to_empty_figures() -> None:
    result = pool([], [])
    assert (result.n_folds, result.n_rows, result.errors.rmse) == (0, 0, None)
    assert result.always.long.n_signals == 0


def test_a_stored_evaluation_reads_back_equal() -> None:
    evaluation = judged(fold([1, -1, 0], [1, 2, np.nan]))
    stored = orjson.loads(orjson.dumps(evaluation.as_dict()))
    assert FoldEvaluation.from_dict(stored) == evaluation


numbers = st.floats(-100, 100, width=32)
rows = hnp.arrays(np.float64, st.tuples(st.integers(1, 40), st.just(2)), elements=numbers)


@given(rows, numbers, numbers)
def test_dual_is_long_and_short_together(data: np.ndarray, long: float, short: float) -> None:
    own = judged(fold(data[:, 0].tolist(), data[:, 1].tolist(), pair=Pair(long, short))).signals[
        "own"
    ]
    assert own.dual.n_signals == own.long.n_signals + own.short.n_signals
    assert own.dual.sum == pytest.approx(own.long.sum + own.short.sum, abs=1e-9)
    assert own.dual.n_signals + own.n_conflicting <= len(data)


@given(rows, st.data())
def test_a_fold_cut_in_two_pools_to_the_figures_of_the_whole(
    data: np.ndarray, draw: st.DataObject
) -> None:
    prediction, target = data[:, 0].tolist(), data[:, 1].tolist()
    cut = draw.draw(st.integers(0, len(data)))
    whole = judged(fold(prediction, target))
    halves = pooled(
        fold(prediction[:cut], target[:cut]), fold(prediction[cut:], target[cut:], first=cut)
    )
    assert halves.signals == whole.signals
    assert halves.errors == whole.errors
    assert halves.always == whole.always
