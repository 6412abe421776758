"""What a trainer is asked for and what it answers. Pure: no I/O, no gRPC, no xgboost."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

import numpy as np
from numpy.typing import NDArray

from services.shared.errors import Conflict
from services.shared.evaluation import FoldEvaluation, Pair

Floats = NDArray[np.float64]
Times = NDArray[np.int64]  # UTC milliseconds

MIN_ROWS: Final = 100  # fitted, and validation, rows with a target


class Refused(Conflict):
    """This fold cannot be trained as asked, however often it is tried."""

    reason = "FOLD_REFUSED"


class Device(StrEnum):
    CPU = "cpu"
    CUDA = "cuda"


class TransformKind(StrEnum):
    NONE = "none"
    STANDARDIZE = "standardize"
    TANH = "tanh"


@dataclass(frozen=True, kw_only=True)
class Learner:
    num_boost_round: int = 2000
    early_stopping_rounds: int = 50
    min_boost_rounds: int = 100
    seed: int = 43
    transform: TransformKind = TransformKind.NONE
    tanh_k: float = 0.5
    parameters: Mapping[str, str] = field(default_factory=dict)  # XGBoost's own, by name


@dataclass(frozen=True, kw_only=True)
class Window:
    """Indicator rows, half-open, and their times; the end is the last row plus one bar."""

    start: int
    end: int
    start_ts_ms: int
    end_ts_ms: int

    @property
    def rows(self) -> int:
        return self.end - self.start


@dataclass(frozen=True, kw_only=True)
class Fold:
    number: int
    train: Window
    fit: Window
    validation: Window
    test: Window


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How every fold of a job is trained and judged."""

    features: Sequence[str]
    learner: Learner
    own: Pair | None  # thresholds of the user
    signals_when_learned_nothing: bool


@dataclass(frozen=True, kw_only=True)
class TrainJob:
    run_id: str
    epoch: int
    dataset_id: str
    version: int
    target: str
    recipe: Recipe
    folds: Sequence[Fold]
    device: Device | None  # None: what the trainer has
    bar_interval_ms: int

    @property
    def first_row(self) -> int:
        return min(fold.train.start for fold in self.folds)

    @property
    def end_row(self) -> int:
        return max(fold.test.end for fold in self.folds)


@dataclass(frozen=True, kw_only=True)
class Progress:
    fold: int
    round: int
    rounds: int
    train_score: float
    validation_score: float


@dataclass(frozen=True)
class Optimal:
    threshold: float
    cases: int
    profit_factor: float | None  # None: infinite


@dataclass(frozen=True, kw_only=True)
class Thresholds:
    """From validation predictions; None where there is none."""

    long_percentile: float | None
    short_percentile: float | None
    long_percentile_share: float
    short_percentile_share: float
    long_optimal: Optimal | None
    short_optimal: Optimal | None


@dataclass(frozen=True, kw_only=True)
class TrainedFold:
    fold: int
    best_iteration: int
    best_score: float
    constant_score: float
    learned_nothing: bool
    thresholds: Thresholds
    evaluation: FoldEvaluation
    importances: Mapping[str, float]
    device: Device
    fit_rows: int
    validation_rows: int
    fit_target_mean: float
    warnings: Sequence[str]
    prediction: Floats  # of the test rows, on the scale of the target
    target: Floats  # NaN where not known
    model: bytes

    @property
    def model_sha256(self) -> str:
        return hashlib.sha256(self.model).hexdigest()


@dataclass(frozen=True)
class Capabilities:
    device: Device
    versions: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class Batch:
    """Consecutive rows of the dataset; NaN where there is no value."""

    index: NDArray[np.int64]
    timestamp_ms: Times
    features: Sequence[Floats]  # column by column
    target: Floats


@dataclass(frozen=True, kw_only=True)
class Environment:
    """What is needed to repeat a run."""

    device: Device
    versions: Mapping[str, str]
    threads: int
    seed: int


@dataclass(frozen=True)
class FoldStarted:
    fold: int


@dataclass(frozen=True, kw_only=True)
class FoldCompleted:
    trained: TrainedFold
    timestamp_ms: Times  # of the test rows
    first_test_row: int
    seconds: float


@dataclass(frozen=True)
class Log:
    text: str


@dataclass(frozen=True)
class Heartbeat:
    pass


@dataclass(frozen=True)
class Finished:
    pass


Event = Environment | Log | FoldStarted | Progress | FoldCompleted | Heartbeat | Finished


class TimesDisagree(Refused):
    """The folds were planned on other rows than these."""

    reason = "FOLD_TIMES_DISAGREE"


def check_times(job: TrainJob, timestamp_ms: Times) -> None:
    """Every window's times against those of the dataset's rows from `job.first_row` on."""
    for fold in job.folds:
        for window in (fold.train, fold.fit, fold.validation, fold.test):
            first = int(timestamp_ms[window.start - job.first_row])
            end = int(timestamp_ms[window.end - 1 - job.first_row]) + job.bar_interval_ms
            if (first, end) != (window.start_ts_ms, window.end_ts_ms):
                raise TimesDisagree(
                    f"Rows [{window.start}, {window.end}) of fold {fold.number} are said to be "
                    f"[{window.start_ts_ms}, {window.end_ts_ms}) in time, and version "
                    f"{job.version} of the dataset has them at [{first}, {end})."
                )
