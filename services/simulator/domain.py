"""What is simulated: settings, the window of bars, and the signals in it. Pure.

Positions in a window's arrays count from 0 at its first bar; `bar_index` and
`ohlcv_index` are that plus the window's first ones.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum, StrEnum
from typing import Final
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from services.shared.errors import Conflict, DataLoss, InvalidRequest, Violation

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]
Sides = NDArray[np.int8]  # -1 short, 0 none, 1 long

NO_FOLD: Final = -1


class Mode(StrEnum):
    LONG = "long"
    SHORT = "short"
    DUAL = "dual"


class Threshold(StrEnum):
    PERCENTILE = "percentile"
    OPTIMAL = "optimal"
    ZERO = "zero"
    OWN = "own"


class Intrabar(StrEnum):
    STOP_FIRST = "stop_first"
    TARGET_FIRST = "target_first"


class ExitReason(IntEnum):
    """The codes of the kernel; `label` is the word everywhere else."""

    STOP = 1
    TRAILING_STOP = 2
    TARGET = 3
    TIME = 4
    SIGNAL = 5
    REVERSAL = 6
    END_OF_FOLD = 7
    END_OF_DATA = 8

    @property
    def label(self) -> str:
        return self.name.lower()


@dataclass(frozen=True, kw_only=True)
class Settings:
    """None switches a rule off. Fractions, not percent."""

    mode: Mode = Mode.DUAL
    threshold: Threshold = Threshold.PERCENTILE
    long_threshold: float | None = None  # with Threshold.OWN only
    short_threshold: float | None = None
    honor_signal_reversal: bool = True
    exit_strength: float | None = None
    stop_fraction: float | None = None
    trailing_stop: bool = False
    target_fraction: float | None = None
    max_holding_bars: int | None = None
    cooldown_bars: int = 0
    intrabar: Intrabar = Intrabar.STOP_FIRST
    flat_between_folds: bool = False
    fee_bps: float = 0.0
    slippage_bps: float = 0.0
    notional: float = 1000.0
    signals_when_learned_nothing: bool = False


@dataclass(frozen=True, kw_only=True)
class FoldThresholds:
    """What a fold's predictions are held against, by kind; None: no signals of that side."""

    fold: int
    by_kind: Mapping[Threshold, tuple[float | None, float | None]]
    learned_nothing: bool
    is_constant: bool = False  # all validation predictions are equal

    def gives_signals(self, settings: Settings) -> bool:
        if self.is_constant:
            return False
        return settings.signals_when_learned_nothing or not self.learned_nothing

    def chosen(self, settings: Settings) -> tuple[float | None, float | None]:
        match settings.threshold:
            case Threshold.OWN:
                return settings.long_threshold, settings.short_threshold
            case Threshold.ZERO:
                return 0.0, 0.0
            case kind:
                return self.by_kind[kind]


@dataclass(frozen=True, kw_only=True)
class Job:
    """What is asked: references and settings. The data is read from its owners."""

    simulation_id: UUID
    run_id: UUID
    dataset_id: UUID
    version: int
    settings: Settings
    folds: Sequence[FoldThresholds]


@dataclass(frozen=True, kw_only=True)
class Predictions:
    """Rows as they come, in any order; rows of overlapping tests repeat a bar."""

    bar_index: Ints
    timestamp_ms: Ints
    fold: Ints
    value: Floats


@dataclass(frozen=True, kw_only=True)
class Bars:
    """Consecutive bars from `first_ohlcv_index` on; `after_gap`: a marked gap lies before it."""

    first_ohlcv_index: int
    timestamp_ms: Ints
    open: Floats
    high: Floats
    low: Floats
    close: Floats
    after_gap: Flags

    def __len__(self) -> int:
        return len(self.timestamp_ms)


@dataclass(frozen=True)
class History:
    """The bars of a window, and how many the whole dataset has in a year."""

    bars: Bars
    bars_per_year: float


@dataclass(frozen=True, kw_only=True)
class Placed:
    """Predictions bar by bar, from the first predicted bar to the last; NaN and NO_FOLD between."""

    first_bar_index: int
    timestamp_ms: Ints  # 0 where there is no prediction
    value: Floats
    fold: Ints
    n_overlapping: int  # rows left out, since an earlier fold predicted that bar

    def __len__(self) -> int:
        return len(self.value)

    @property
    def predicted(self) -> Flags:
        return np.not_equal(self.fold, NO_FOLD)

    @property
    def last_of_fold(self) -> Flags:
        """Bars whose successor is of another fold or of none."""
        last = np.zeros(len(self), dtype=np.bool_)
        last[:-1] = self.predicted[:-1] & (self.fold[1:] != self.fold[:-1])
        return last


@dataclass(frozen=True, kw_only=True)
class Signals:
    side: Sides
    judged: Floats  # predictions a signal exit may look at; NaN where there is none
    n_conflicting: int


def place(predictions: Predictions) -> Placed:
    """Each bar once, with the prediction of the earliest fold; none at all is a Conflict."""
    if not predictions.bar_index.size:
        raise Conflict("The run has no predictions to simulate.", reason="NO_PREDICTIONS")
    order = np.lexsort((predictions.fold, predictions.bar_index))
    bars, earliest = np.unique(predictions.bar_index[order], return_index=True)
    rows, at = order[earliest], bars - bars[0]
    size = int(at[-1]) + 1
    timestamp_ms = np.zeros(size, dtype=np.int64)
    value, fold = np.full(size, np.nan), np.full(size, NO_FOLD, dtype=np.int64)
    timestamp_ms[at], value[at] = predictions.timestamp_ms[rows], predictions.value[rows]
    fold[at] = predictions.fold[rows]
    return Placed(
        first_bar_index=int(bars[0]),
        timestamp_ms=timestamp_ms,
        value=value,
        fold=fold,
        n_overlapping=len(order) - len(bars),
    )


def check_times(placed: Placed, bars: Bars) -> None:
    """Raises DataLoss when a prediction and the bar at its index have different times."""
    if len(bars) != len(placed):
        raise DataLoss(f"{len(placed)} bars lie in the window, and dataset gave {len(bars)}.")
    wrong = np.flatnonzero(placed.predicted & (placed.timestamp_ms != bars.timestamp_ms))
    if wrong.size:
        at = int(wrong[0])
        raise DataLoss(
            f"The prediction of bar_index {placed.first_bar_index + at} is of "
            f"{placed.timestamp_ms[at]} ms, but that bar is of {bars.timestamp_ms[at]} ms."
        )


def find_signals(placed: Placed, folds: Sequence[FoldThresholds], settings: Settings) -> Signals:
    """A fold that learned nothing decides nothing, unless the settings say so; a constant never."""
    starts = np.flatnonzero(np.diff(placed.fold, prepend=NO_FOLD - 1))
    lengths = np.diff(starts, append=len(placed))
    long, short, muted = _rules(placed.fold[starts], folds, settings)
    above = placed.value >= np.repeat(long, lengths)
    below = placed.value <= np.repeat(short, lengths)
    return Signals(
        side=above.view(np.int8) - below.view(np.int8),
        judged=np.where(np.repeat(muted, lengths), np.nan, placed.value),
        n_conflicting=int(np.count_nonzero(above & below)),
    )


def _rules(
    labels: Ints, folds: Sequence[FoldThresholds], settings: Settings
) -> tuple[Floats, Floats, Flags]:
    """Long and short threshold (NaN: no signals) and silence of each of these folds."""
    known = {fold.fold: fold for fold in folds}
    missing = [int(n) for n in labels if n != NO_FOLD and n not in known]
    if missing:
        rule = f"lack fold {missing[0]}, which has predictions"
        raise InvalidRequest([Violation("folds", rule)])
    long, short = np.full(len(labels), np.nan), np.full(len(labels), np.nan)
    muted = np.ones(len(labels), dtype=np.bool_)
    for i, label in enumerate(labels.tolist()):
        if label != NO_FOLD and known[label].gives_signals(settings):
            chosen = known[label].chosen(settings)
            long[i], short[i] = (_or_nan(threshold) for threshold in chosen)
            muted[i] = False
    return long, short, muted


def _or_nan(threshold: float | None) -> float:
    return np.nan if threshold is None else threshold
