"""Whether a model beats a constant: one float64 score for both sides."""

from __future__ import annotations

from typing import Final

import numpy as np

from services.trainer.domain import Floats

RELATIVE_MARGIN: Final = 1e-6


def rmse(target: Floats, prediction: Floats) -> float:
    return float(np.sqrt(np.mean((target - prediction) ** 2)))


def constant_score(fitted: Floats, validation: Floats) -> float:
    """Of the constant that fits squared error best: the mean of the fitted part."""
    return rmse(validation, np.full(validation.size, fitted.mean()))


def learned_nothing(best_score: float, constant: float) -> bool:
    """Not better than the constant by the margin. No test of luck: noise often "learns"."""
    return not best_score < constant * (1 - RELATIVE_MARGIN)
