"""What is judged, and what is said of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]

PERCENTILE: Final = "percentile"
OPTIMAL: Final = "optimal"
ZERO: Final = "zero"
OWN: Final = "own"
SIDES: Final = ("long", "short", "dual")


@dataclass(frozen=True)
class Pair:
    """The two thresholds of one kind; None gives no signals, 0 is a threshold like any other."""

    long: float | None
    short: float | None


@dataclass(frozen=True, kw_only=True)
class FoldRows:
    """The predicted rows of a fold; a NaN target is one not known."""

    bar_index: NDArray[np.int64]
    prediction: Floats
    target: Floats
    thresholds: Mapping[str, Pair]  # by kind
    fitted_mean: float  # of the target, over the fitted part
    gives_signals: bool  # False: learned_nothing, unless the run asked for signals anyway


@dataclass(frozen=True)
class FittedRows:
    """The rows the model was fitted to, with its predictions of them."""

    prediction: Floats
    target: Floats


@dataclass(frozen=True, kw_only=True)
class Side:
    """Signals of one side, or of both (dual); the return of a short is minus the target."""

    n_signals: int
    signal_rate: float | None
    hit_rate: float | None
    profit_factor: float | None
    profit_factor_is_infinite: bool
    sum: float
    mean: float | None
    median: float | None
    std: float | None
    profit_factor_train: float | None
    profit_factor_train_is_infinite: bool
    wins_train: float  # kept, so that folds can be pooled
    losses_train: float


@dataclass(frozen=True, kw_only=True)
class Signals:
    long: Side
    short: Side
    dual: Side
    n_conflicting: int


@dataclass(frozen=True)
class Always:
    """Long, or short, at every judged row: what a profit factor has to beat."""

    long: Side
    short: Side


@dataclass(frozen=True, kw_only=True)
class Errors:
    rmse: float | None
    mae: float | None
    r2: float | None
    pearson: float | None
    spearman: float | None


@dataclass(frozen=True, kw_only=True)
class FoldEvaluation:
    n_rows: int
    n_judged: int
    errors: Errors
    signals: Mapping[str, Signals]  # by kind of threshold
    always: Always
    gives_signals: bool

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> FoldEvaluation:
        """Of `as_dict`, also after a journey through a protobuf Struct, which knows no integers."""
        return cls(
            n_rows=int(stored["n_rows"]),
            n_judged=int(stored["n_judged"]),
            errors=Errors(**stored["errors"]),
            signals={kind: _signals_from(s) for kind, s in stored["signals"].items()},
            always=Always(*(_side_from(stored["always"][side]) for side in ("long", "short"))),
            gives_signals=stored["gives_signals"],
        )


@dataclass(frozen=True, kw_only=True)
class PooledEvaluation:
    """All folds as one: each row once, with the earliest fold's prediction and thresholds.

    The training figures add up the folds' fitted parts, which overlap.
    """

    n_folds: int
    n_folds_without_signals: int
    n_overlapping: int  # rows that later folds predicted again
    n_rows: int
    n_judged: int
    errors: Errors
    errors_mean_over_folds: Errors
    signals: Mapping[str, Signals]
    always: Always

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def _signals_from(stored: Mapping[str, Any]) -> Signals:
    sides = {side: _side_from(stored[side]) for side in SIDES}
    return Signals(**sides, n_conflicting=int(stored["n_conflicting"]))


def _side_from(stored: Mapping[str, Any]) -> Side:
    return Side(**{**stored, "n_signals": int(stored["n_signals"])})
