"""Signal metrics: what a fold's predictions were worth, and a run's folds together.

Pure: arrays in, frozen values out, `as_dict` of them is what the fold's row stores.
Only rows with a known target are judged; a fraction is 0…1; None is "not defined",
so an infinite profit factor is None with its flag, never a magic number.
"""

from services.shared.evaluation.figures import evaluate, profit_factor, signal_masks
from services.shared.evaluation.pooling import pool
from services.shared.evaluation.records import (
    OPTIMAL,
    OWN,
    PERCENTILE,
    ZERO,
    Always,
    Errors,
    FittedRows,
    FoldEvaluation,
    FoldRows,
    Pair,
    PooledEvaluation,
    Side,
    Signals,
)

__all__ = [
    "OPTIMAL",
    "OWN",
    "PERCENTILE",
    "ZERO",
    "Always",
    "Errors",
    "FittedRows",
    "FoldEvaluation",
    "FoldRows",
    "Pair",
    "PooledEvaluation",
    "Side",
    "Signals",
    "evaluate",
    "pool",
    "profit_factor",
    "signal_masks",
]
