"""What a fold gave: thresholds, scores and metrics, as its trainer says them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from services.runs.domain.plan import PlannedFold
from services.shared.errors import DataLoss


@dataclass(frozen=True, kw_only=True)
class Thresholds:
    """From validation predictions; None where there is none, and 0 is a threshold."""

    long_percentile: float | None = None
    short_percentile: float | None = None
    long_percentile_share: float = 0.0
    short_percentile_share: float = 0.0
    long_optimal: float | None = None
    short_optimal: float | None = None
    long_optimal_cases: int = 0
    short_optimal_cases: int = 0
    long_optimal_profit_factor: float | None = None
    short_optimal_profit_factor: float | None = None


@dataclass(frozen=True, kw_only=True)
class FoldResult:
    """A stored fold. Its predictions are those with this `attempt`, no others."""

    best_iteration: int
    best_score: float
    constant_score: float
    learned_nothing: bool
    thresholds: Thresholds
    metrics: Mapping[str, Any]
    importances: Mapping[str, float]
    device: str
    seconds: float
    fit_rows: int
    validation_rows: int
    test_rows: int
    fit_target_mean: float
    warnings: tuple[str, ...] = ()
    model_sha256: str = ""
    attempt: int = 0


@dataclass(frozen=True)
class Fold:
    planned: PlannedFold
    result: FoldResult | None = None


def refuse_misfit(
    planned: PlannedFold, bar_index: NDArray[np.int64], timestamp_ms: NDArray[np.int64]
) -> None:
    """A fold's predictions are for exactly the rows and times of its test window."""
    rows, times = planned.test.rows, planned.test.times_ms
    whole = np.array_equal(bar_index, np.arange(rows.start, rows.end))
    if not whole or timestamp_ms[0] != times.start or timestamp_ms[-1] >= times.end:
        raise DataLoss(
            f"Fold {planned.number} is to predict rows [{rows.start}, {rows.end}) over"
            f" [{times.start}, {times.end}) ms, and the trainer sent {bar_index.size} rows that"
            " are not these.",
            reason="PREDICTIONS_MISFIT",
        )
