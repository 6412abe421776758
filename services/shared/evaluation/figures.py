"""The figures of one set of rows, by DOMAIN's definitions (docs/domain.md)."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from scipy.stats import rankdata

from services.shared.evaluation.records import (
    SIDES,
    Always,
    Errors,
    FittedRows,
    Floats,
    FoldEvaluation,
    FoldRows,
    Mask,
    Pair,
    Side,
    Signals,
)

Gross = tuple[float, float]  # wins and losses, both positive


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
    test, train = judged_rows(rows), _known(fitted.prediction, fitted.target)
    signals = {}
    for kind, pair in used_thresholds(rows).items():
        in_training, _ = returns_of(*train, pair)
        gross = {side: _gross(returns) for side, returns in in_training.items()}
        signals[kind] = signals_of(*returns_of(*test, pair), test[1].size, gross)
    return FoldEvaluation(
        n_rows=rows.target.size,
        n_judged=test[1].size,
        errors=errors_of(*test, np.full(test[1].size, rows.fitted_mean)),
        signals=signals,
        always=always_of(test[1], _gross(train[1])),
        gives_signals=rows.gives_signals,
    )


def judged_rows(rows: FoldRows) -> tuple[Floats, Floats]:
    return _known(rows.prediction, rows.target)


def _known(prediction: Floats, target: Floats) -> tuple[Floats, Floats]:
    known = ~np.isnan(target)
    return prediction[known], target[known]


def used_thresholds(rows: FoldRows) -> Mapping[str, Pair]:
    if rows.gives_signals:
        return rows.thresholds
    return dict.fromkeys(rows.thresholds, Pair(None, None))


def returns_of(prediction: Floats, target: Floats, pair: Pair) -> tuple[dict[str, Floats], int]:
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


def signals_of(
    returns: Mapping[str, Floats], n_conflicting: int, n_judged: int, train: Mapping[str, Gross]
) -> Signals:
    sides = {side: _side(returns[side], n_judged, train[side]) for side in SIDES}
    return Signals(**sides, n_conflicting=n_conflicting)


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


def always_of(target: Floats, train: Gross) -> Always:
    n = target.size
    return Always(_side(target, n, train), _side(-target, n, (train[1], train[0])))


def errors_of(prediction: Floats, target: Floats, fitted_mean: Floats) -> Errors:
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
