from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from services.shared.evaluation import OPTIMAL, OWN, PERCENTILE, ZERO, Pair
from services.trainer.domain import Learner, Refused, TrainedFold, TransformKind
from tests.unit.trainer.examples import QUICK, Table, fold, table, trained


def same(one: TrainedFold, two: TrainedFold) -> bool:
    return (
        np.array_equal(one.prediction, two.prediction)
        and one.model == two.model
        and one.thresholds == two.thresholds
    )


def test_a_planted_signal_is_found_out_of_sample() -> None:
    found = trained()
    assert not found.learned_nothing
    assert found.best_score < found.constant_score
    assert found.evaluation.errors.spearman is not None
    assert found.evaluation.errors.spearman > 0.5
    assert found.evaluation.signals[PERCENTILE].dual.n_signals > 0


def test_the_same_rows_give_the_same_fold_whatever_the_threads(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("services.trainer.fold.CELLS_PER_THREAD", 1)
    assert same(trained(), trained(threads=2))


def test_neither_test_window_nor_gaps_change_what_is_learned() -> None:
    data = table()
    planned = fold()
    other = table(seed=9)
    changed = Table(data.features.copy(), data.target.copy())
    for start, end in ((300, 306), (500, 506)):  # the gaps
        changed.features[start:end] = other.features[start:end]
        changed.target[start:end] = other.target[start:end]
    test = slice(planned.test.start, planned.test.end)
    changed.target[test] = other.target[test]
    assert same(trained(data), trained(changed))


def test_a_row_without_a_target_is_predicted_but_neither_trained_on_nor_judged() -> None:
    data = table()
    holes = Table(data.features, data.target.copy())
    holes.target[[5, 400, 510]] = np.nan
    found = trained(holes)
    assert (found.fit_rows, found.validation_rows, found.prediction.size) == (299, 193, 100)
    assert np.isfinite(found.prediction).all()
    assert np.isnan(found.target).sum() == 1
    assert (found.evaluation.n_rows, found.evaluation.n_judged) == (100, 99)


@pytest.mark.parametrize(("part", "start"), [("fitted", 99), ("validation", 306 + 99)])
def test_too_few_rows_with_a_target_are_refused(part: str, start: int) -> None:
    data = table()
    end = 300 if part == "fitted" else 500
    data.target[start:end] = np.nan
    with pytest.raises(Refused, match=f"99 {part} rows"):
        trained(data)


def test_a_target_that_is_constant_where_it_is_fitted_is_refused() -> None:
    data = table()
    data.target[:300] = 0.1
    with pytest.raises(Refused, match="constant"):
        trained(data)


def test_a_target_beyond_float32_is_refused() -> None:
    data = table()
    data.target[7] = 1e39
    with pytest.raises(Refused, match="float32"):
        trained(data)


@pytest.mark.parametrize("kind", [TransformKind.STANDARDIZE, TransformKind.TANH])
def test_predictions_come_on_the_scale_of_the_target(kind: TransformKind) -> None:
    data = table()
    large = Table(data.features, data.target * 50 + 1000)
    found = trained(large, learner=replace(QUICK, transform=kind))
    assert found.fit_target_mean == pytest.approx(1000, abs=20)
    assert found.prediction.mean() == pytest.approx(1000, abs=30)
    assert found.best_score < 2  # on the scale that was learned
    assert found.evaluation.errors.r2 is not None
    assert found.evaluation.errors.r2 > 0


# Nothing can be split off: every leaf would be too light.
STUMPED = replace(QUICK, parameters={"min_child_weight": "1000"})


def test_a_model_that_cannot_split_learned_nothing_and_gives_no_signals() -> None:
    found = trained(learner=STUMPED, own=Pair(-1e6, None))
    assert found.learned_nothing
    assert found.thresholds.long_percentile is None
    assert found.evaluation.signals[OWN].long.n_signals == 0
    assert found.evaluation.signals[OWN].long.signal_rate == 0.0
    assert (found.evaluation.errors.pearson, found.evaluation.errors.spearman) == (None, None)


def test_a_constant_that_is_better_by_luck_learned_nothing_all_the_same() -> None:
    data = table()
    data.target[306:500] += 1.0
    lucky = replace(QUICK, parameters={"min_child_weight": "1000", "base_score": "1"})
    found = trained(data, learner=lucky)
    assert found.best_score < found.constant_score
    assert found.learned_nothing
    assert found.evaluation.signals[ZERO].dual.n_signals == 0


def test_a_constant_model_gives_no_signals_even_when_asked_for() -> None:
    found = trained(learner=STUMPED, own=Pair(-1e6, None), silent=False)
    assert found.thresholds.long_percentile is None
    assert not found.evaluation.gives_signals
    assert {
        kind: s.dual.n_signals for kind, s in found.evaluation.signals.items()
    } == dict.fromkeys((PERCENTILE, OPTIMAL, ZERO, OWN), 0)


# It splits, and does worse than the mean.
GREEDY = Learner(
    num_boost_round=20, min_boost_rounds=1, parameters={"learning_rate": "1", "max_depth": "8"}
)


def test_signals_of_a_fold_that_learned_nothing_can_be_asked_for() -> None:
    noise, own = table(signal=0.0), Pair(-1e6, None)
    silent = trained(noise, learner=GREEDY, own=own)
    heard = trained(noise, learner=GREEDY, own=own, silent=False)
    assert silent.learned_nothing
    assert heard.learned_nothing
    assert heard.thresholds.long_percentile is not None
    assert silent.evaluation.signals[OWN].long.n_signals == 0
    assert heard.evaluation.signals[OWN].long.n_signals == 100


def test_a_threshold_of_the_users_own_is_judged_beside_the_others() -> None:
    own = trained(own=Pair(0.0, None)).evaluation.signals[OWN]
    assert own.long.n_signals > 0
    assert own.short.n_signals == 0
