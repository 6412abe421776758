"""A run's folds as one: each row once, for the earliest fold that predicted it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import fields, replace
from typing import Final

import numpy as np

from services.shared.evaluation.figures import (
    Gross,
    always_of,
    errors_of,
    judged_rows,
    returns_of,
    signals_of,
    used_thresholds,
)
from services.shared.evaluation.records import (
    SIDES,
    Errors,
    Floats,
    FoldEvaluation,
    FoldRows,
    Mask,
    PooledEvaluation,
    Side,
    Signals,
)

_NONE: Final = (np.empty(0), np.empty(0))


def pool(folds: Sequence[FoldRows], evaluations: Sequence[FoldEvaluation]) -> PooledEvaluation:
    """Folds in their order with what `evaluate` said of each; none is allowed, too."""
    once = [_subset(f, mask) for f, mask in zip(folds, _first_seen(folds), strict=True)]
    judged = [judged_rows(fold) for fold in once]
    prediction, target = (_joined(part) for part in zip(*judged, strict=True)) if judged else _NONE
    means = [np.full(t.size, f.fitted_mean) for f, (_, t) in zip(once, judged, strict=True)]
    kinds = folds[0].thresholds if folds else {}
    return PooledEvaluation(
        n_folds=len(folds),
        n_folds_without_signals=sum(not fold.gives_signals for fold in folds),
        n_overlapping=sum(f.target.size for f in folds) - sum(f.target.size for f in once),
        n_rows=sum(fold.target.size for fold in once),
        n_judged=target.size,
        errors=errors_of(prediction, target, _joined(means)),
        errors_mean_over_folds=_mean_errors([e.errors for e in evaluations]),
        signals={kind: _pooled_signals(kind, once, evaluations) for kind in kinds},
        always=always_of(target, _summed(e.always.long for e in evaluations)),
    )


def _pooled_signals(
    kind: str, folds: Sequence[FoldRows], evaluations: Sequence[FoldEvaluation]
) -> Signals:
    per_fold = [returns_of(*judged_rows(fold), used_thresholds(fold)[kind]) for fold in folds]
    returns = {side: _joined([r[side] for r, _ in per_fold]) for side in SIDES}
    n_judged = sum(judged_rows(fold)[1].size for fold in folds)
    train = {s: _summed(getattr(e.signals[kind], s) for e in evaluations) for s in SIDES}
    return signals_of(returns, sum(n for _, n in per_fold), n_judged, train)


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


def _mean_errors(errors: Sequence[Errors]) -> Errors:
    """Each figure over the folds where it is defined."""
    means: dict[str, float | None] = {}
    for field in fields(Errors):
        known = [v for e in errors if (v := getattr(e, field.name)) is not None]
        means[field.name] = float(np.mean(known)) if known else None
    return Errors(**means)
