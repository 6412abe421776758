from __future__ import annotations

import numpy as np
import pytest

from services.trainer.scores import constant_score, learned_nothing, rmse


def test_the_constant_is_the_mean_of_the_fitted_part() -> None:
    assert constant_score(np.array([0.0, 2.0]), np.array([1.0, 5.0])) == pytest.approx(np.sqrt(8))


def test_the_same_predictions_score_the_same_on_both_sides() -> None:
    fitted, validation = np.array([0.1, 0.2, 0.3]), np.array([0.4, 0.5])
    predicted = np.full(2, fitted.mean())
    assert rmse(validation, predicted) == constant_score(fitted, validation)


@pytest.mark.parametrize(
    ("best", "nothing"),
    [(1.0, True), (1.1, True), (1 - 1e-7, True), (1 - 1e-5, False), (float("nan"), True)],
)
def test_a_model_learned_something_only_when_clearly_better(best: float, nothing: bool) -> None:
    assert learned_nothing(best, 1.0) is nothing
