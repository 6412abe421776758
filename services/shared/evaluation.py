"""Signal metrics: what a fold's predictions were worth, and a run's folds together.

Pure: arrays in, frozen values out, `as_dict` of them is what the fold's row stores.
Only rows with a known target are judged; a fraction is 0…1; None is "not defined",
so an infinite profit factor is None with its flag, never a magic number.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]

PERCENTILE: Final = "percentile"
OPTIMAL: Final = "optimal"
ZERO: Final = "zero"
OWN: Final = "own"


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


def profit_factor(returns: Floats) -> tuple[float | None, bool]:
    """Wins over losses, and whether that is infinite."""
    return _ratio(*_gross(returns))


def signal_masks(prediction: Floats, pair: Pair) -> tuple[Mask, Mask, Mask]:
    """Long, short and conflicting (both at once, which is neither) rows."""
    nowhere = np.zeros(prediction.shape, dtype=np.bool_)
    long = nowhere if pair.long is None else prediction >= pair.long
    short = nowhere if pair.short is None else prediction <= pair.short
    both = long & short
    return long & ~both, short & ~both, both


def evaluate(rows: FoldRows, fitted: FittedRows) -> FoldEvaluation:
    test, train = _judged(rows), _known(fitted.prediction, fitted.target)
    signals = {}
    for kind, pair in _used(rows).items():
        in_training, _ = _returns(*train, pair)
        gross = {side: _gross(returns) for side, returns in in_training.items()}
        signals[kind] = _signals(*_returns(*test, pair), test[1].size, gross)
    return FoldEvaluation(
        n_rows=rows.target.size,
        n_judged=test[1].size,
        errors=_errors(*test, np.full(test[1].size, rows.fitted_mean)),
        signals=signals,
        always=_always(test[1], _gross(train[1])),
        gives_signals=rows.gives_signals,
    )


def pool(folds: Sequence[FoldRows], evaluations: Sequence[FoldEvaluation]) -> PooledEvaluation:
    """Folds in their order with what `evaluate` said of each; none is allowed, too."""
    once = [_subset(f, mask) for f, mask in zip(folds, _first_seen(folds), strict=True)]
    judged = [_judged(fold) for fold in once]
    prediction, target = (_joined(part) for part in zip(*judged, strict=True)) if judged else _NONE
    means = [np.full(t.size, f.fitted_mean) for f, (_, t) in zip(once, judged, strict=True)]
    kinds = folds[0].thresholds if folds else {}
    return PooledEvaluation(
        n_folds=len(folds),
        n_folds_without_signals=sum(not fold.gives_signals for fold in folds),
        n_overlapping=sum(f.target.size for f in folds) - sum(f.target.size for f in once),
        n_rows=sum(fold.target.size for fold in once),
        n_judged=target.size,
        errors=_errors(prediction, target, _joined(means)),
        errors_mean_over_folds=_mean_errors([e.errors for e in evaluations]),
        signals={kind: _pooled_signals(kind, once, evaluations) for kind in kinds},
        always=_always(target, _summed(e.always.long for e in evaluations)),
    )


_NONE: Final = (np.empty(0), np.empty(0))
_SIDES: Final = ("long", "short", "dual")
Gross = tuple[float, float]  # wins and losses, both positive


def _known(prediction: Floats, target: Floats) -> tuple[Floats, Floats]:
    known = ~np.isnan(target)
    return prediction[known], target[known]


def _judged(rows: FoldRows) -> tuple[Floats, Floats]:
    return _known(rows.prediction, rows.target)


def _used(rows: FoldRows) -> Mapping[str, Pair]:
    if rows.gives_signals:
        return rows.thresholds
    return dict.fromkeys(rows.thresholds, Pair(None, None))


def _returns(prediction: Floats, target: Floats, pair: Pair) -> tuple[dict[str, Floats], int]:
    """What the signals of each side returned, in row order, and how many rows conflict."""
    long, short, both = signal_masks(prediction, pair)
    dual = np.where(long, target, -target)[long | short]
    return {"long": target[long], "short": -target[short], "dual": dual}, int(both.sum())


def _gross(returns: Floats) -> Gross:
    return float(returns[returns > 0].sum()), float(-returns[returns < 0].sum())


def _ratio(wins: float, losses: float) -> tuple[float | None, bool]:
    if losses > 0:
        return wins / losses, False
    return None, wins > 0


def _side(returns: Floats, n_judged: int, train: Gross) -> Side:
    n = returns.size
    factor, is_infinite = profit_factor(returns)
    factor_train, is_infinite_train = _ratio(*train)
    return Side(
        n_signals=n,
        signal_rate=n / n_judged if n_judged else None,
        hit_rate=float((returns > 0).mean()) if n else None,
        profit_factor=factor,
        profit_factor_is_infinite=is_infinite,
        sum=float(returns.sum()),
        mean=float(returns.mean()) if n else None,
        median=float(np.median(returns)) if n else None,
        std=float(returns.std(ddof=1)) if n > 1 else None,
        profit_factor_train=factor_train,
        profit_factor_train_is_infinite=is_infinite_train,
        wins_train=train[0],
        losses_train=train[1],
    )


def _signals(
    returns: Mapping[str, Floats], n_conflicting: int, n_judged: int, train: Mapping[str, Gross]
) -> Signals:
    sides = {side: _side(returns[side], n_judged, train[side]) for side in _SIDES}
    return Signals(**sides, n_conflicting=n_conflicting)


def _always(target: Floats, train: Gross) -> Always:
    n = target.size
    return Always(_side(target, n, train), _side(-target, n, (train[1], train[0])))


def _pooled_signals(
    kind: str, folds: Sequence[FoldRows], evaluations: Sequence[FoldEvaluation]
) -> Signals:
    per_fold = [_returns(*_judged(fold), _used(fold)[kind]) for fold in folds]
    returns = {side: _joined([r[side] for r, _ in per_fold]) for side in _SIDES}
    n_judged = sum(_judged(fold)[1].size for fold in folds)
    train = {s: _summed(getattr(e.signals[kind], s) for e in evaluations) for s in _SIDES}
    return _signals(returns, sum(n for _, n in per_fold), n_judged, train)


def _summed(sides: Iterable[Side]) -> Gross:
    pairs = [(side.wins_train, side.losses_train) for side in sides]
    return sum(wins for wins, _ in pairs), sum(losses for _, losses in pairs)


def _first_seen(folds: Sequence[FoldRows]) -> list[Mask]:
    """Per fold, the rows that no earlier fold has predicted."""
    if not folds:
        return []
    bars = np.concatenate([fold.bar_index for fold in folds])
    seen_first = np.zeros(bars.size, dtype=np.bool_)
    seen_first[np.unique(bars, return_index=True)[1]] = True
    ends = np.cumsum([fold.bar_index.size for fold in folds])
    return np.split(seen_first, ends[:-1])


def _subset(rows: FoldRows, mask: Mask) -> FoldRows:
    return replace(
        rows,
        bar_index=rows.bar_index[mask],
        prediction=rows.prediction[mask],
        target=rows.target[mask],
    )


def _joined(parts: Sequence[Floats]) -> Floats:
    return np.concatenate(parts) if parts else np.empty(0)


def _errors(prediction: Floats, target: Floats, fitted_mean: Floats) -> Errors:
    if not target.size:
        return Errors(rmse=None, mae=None, r2=None, pearson=None, spearman=None)
    squared = (target - prediction) ** 2
    about_mean = float(((target - fitted_mean) ** 2).sum())
    return Errors(
        rmse=float(np.sqrt(squared.mean())),
        mae=float(np.abs(target - prediction).mean()),
        r2=1 - float(squared.sum()) / about_mean if about_mean > 0 else None,
        pearson=_correlation(prediction, target),
        spearman=_correlation(rankdata(prediction), rankdata(target)),
    )


def _correlation(a: Floats, b: Floats) -> float | None:
    # Constancy by range: the mean of equal numbers can differ from them in the last digit.
    if np.ptp(a) == 0 or np.ptp(b) == 0:
        return None
    a, b = a - a.mean(), b - b.mean()
    scale = float(np.sqrt((a @ a) * (b @ b)))
    return float(np.clip((a @ b) / scale, -1, 1)) if scale > 0 else None


def _mean_errors(errors: Sequence[Errors]) -> Errors:
    """Each figure over the folds where it is defined."""
    means: dict[str, float | None] = {}
    for field in fields(Errors):
        known = [v for e in errors if (v := getattr(e, field.name)) is not None]
        means[field.name] = float(np.mean(known)) if known else None
    return Errors(**means)


def _signals_from(stored: Mapping[str, Any]) -> Signals:
    sides = {side: _side_from(stored[side]) for side in _SIDES}
    return Signals(**sides, n_conflicting=int(stored["n_conflicting"]))


def _side_from(stored: Mapping[str, Any]) -> Side:
    return Side(**{**stored, "n_signals": int(stored["n_signals"])})
