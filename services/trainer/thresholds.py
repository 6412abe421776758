"""Where a prediction becomes a signal, decided on the validation tail alone."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Final

import numpy as np

from services.shared.evaluation import OPTIMAL, OWN, PERCENTILE, ZERO, Pair
from services.trainer.domain import Floats, Optimal, Thresholds

SHARE: Final = 0.05  # nominal, of each percentile threshold; and the least an optimal one keeps
MIN_CASES: Final = 20
TIE: Final = 1e-9  # relative, of profit factors: far above the rounding of their sums


def from_validation(prediction: Floats, target: Floats) -> Thresholds:
    if np.ptp(prediction) == 0:  # a threshold would select all rows or none
        return Thresholds(
            long_percentile=None,
            short_percentile=None,
            long_percentile_share=0.0,
            short_percentile_share=0.0,
            long_optimal=None,
            short_optimal=None,
        )
    short, long = (float(q) for q in np.quantile(prediction, [SHARE, 1 - SHARE]))
    return Thresholds(
        long_percentile=long,
        short_percentile=short,
        long_percentile_share=float((prediction >= long).mean()),
        short_percentile_share=float((prediction <= short).mean()),
        long_optimal=optimal_long(prediction, target),
        short_optimal=optimal_short(prediction, target),
    )


def optimal_long(prediction: Floats, target: Floats) -> Optimal | None:
    """The threshold whose cases, prediction ≥ it, have the best profit factor above 1.

    Candidates are the midpoints between distinct predictions; an infinite profit factor
    ranks above finite ones, ties go to more cases. What differs by less than
    `TIE` is equal, also to 1.
    """
    order = np.argsort(-prediction, kind="stable")
    ranked, returns = prediction[order], target[order]
    cases = np.flatnonzero(ranked[:-1] > ranked[1:]) + 1
    cases = cases[cases >= max(-(-prediction.size // 20), MIN_CASES)]
    wins = np.cumsum(np.maximum(returns, 0))[cases - 1]
    losses = np.cumsum(np.maximum(-returns, 0))[cases - 1]
    factor = np.full(cases.size, np.nan)
    np.divide(wins, losses, out=factor, where=losses > 0)
    factor[(losses == 0) & (wins > 0)] = np.inf
    worth = factor > 1 + TIE
    if not worth.any():
        return None
    at = np.flatnonzero(worth & (factor >= factor[worth].max() * (1 - TIE)))[-1]
    n, best = int(cases[at]), float(factor[at])
    middle = ranked[n] + (ranked[n - 1] - ranked[n]) / 2
    # Neighbouring floats have no number between them.
    threshold = float(middle if middle > ranked[n] else ranked[n - 1])
    return Optimal(threshold, n, best if math.isfinite(best) else None)


def optimal_short(prediction: Floats, target: Floats) -> Optimal | None:
    """The same for prediction ≤ threshold and the opposite return."""
    mirrored = optimal_long(-prediction, -target)
    if mirrored is None:
        return None
    return Optimal(-mirrored.threshold, mirrored.cases, mirrored.profit_factor)


def pairs(thresholds: Thresholds, own: Pair | None) -> Mapping[str, Pair]:
    """Every kind of threshold that signals are judged by."""
    best = thresholds.long_optimal, thresholds.short_optimal
    kinds = {
        PERCENTILE: Pair(thresholds.long_percentile, thresholds.short_percentile),
        OPTIMAL: Pair(*(side.threshold if side else None for side in best)),
        ZERO: Pair(0.0, 0.0),
    }
    return kinds | {OWN: own} if own else kinds


def warnings(thresholds: Thresholds, own: Pair | None) -> Iterator[str]:
    if thresholds.long_percentile is None:
        yield "All validation predictions are equal: there is no percentile threshold."
    shares = {
        "long": thresholds.long_percentile_share,
        "short": thresholds.short_percentile_share,
    }
    for side, share in shares.items():
        if share > 2 * SHARE:
            yield (
                f"The {side} percentile threshold selects {share:.1%} of the validation rows, "
                f"more than twice the nominal {SHARE:.0%}: few predictions are distinct."
            )
    for kind, pair in pairs(thresholds, own).items():
        if kind == ZERO:
            continue
        if pair.long is not None and pair.long <= 0:
            yield _against_the_sign(f"{kind} long threshold {pair.long:.6g}", "above")
        if pair.short is not None and pair.short >= 0:
            yield _against_the_sign(f"{kind} short threshold {pair.short:.6g}", "below")


def _against_the_sign(threshold: str, side: str) -> str:
    return f"The {threshold} is not {side} 0: such signals go against the prediction's sign."
