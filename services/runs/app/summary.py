"""A run's pooled figures, over the folds that are stored."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from services.runs.domain.folds import Fold, FoldResult
from services.runs.domain.runs import Run, SignalRules
from services.runs.storage.series import Series
from services.shared.errors import DataLoss
from services.shared.evaluation import (
    OPTIMAL,
    OWN,
    PERCENTILE,
    ZERO,
    FoldEvaluation,
    FoldRows,
    Pair,
    pool,
)

_COLUMNS = ("bar_index", "prediction", "target")


async def pooled(series: Series, run: Run, folds: Sequence[Fold]) -> Mapping[str, Any]:
    batches = [batch async for batch in series.predictions(run, folds, _COLUMNS)]
    table = pa.Table.from_batches(batches, series.schema(_COLUMNS))
    return await asyncio.to_thread(_pooled, table, run, folds)


def _pooled(table: pa.Table, run: Run, folds: Sequence[Fold]) -> Mapping[str, Any]:
    """Of predictions by fold, then time."""
    stored = [(fold.planned, fold.result) for fold in folds if fold.result]
    evaluations = [evaluation(result) for _, result in stored]
    rows, taken = [], 0
    for (planned, result), evaluated in zip(stored, evaluations, strict=True):
        size = len(planned.test.rows)
        rows.append(_rows(table.slice(taken, size), run, result, evaluated))
        taken += size
    if taken != table.num_rows:
        raise DataLoss(f"Run {run.run_id} has {table.num_rows} predictions of {taken} test rows.")
    return pool(rows, evaluations).as_dict()


def evaluation(result: FoldResult) -> FoldEvaluation:
    """The trainer's figures of a fold. Raises DataLoss when they are not what it should send."""
    try:
        return FoldEvaluation.from_dict(result.metrics)
    except (KeyError, TypeError) as error:
        raise DataLoss(f"The trainer's metrics are incomplete: {error}.") from error


def _rows(table: pa.Table, run: Run, result: FoldResult, evaluated: FoldEvaluation) -> FoldRows:
    found = _thresholds(result, run.plan.signal_rules)
    return FoldRows(
        bar_index=table["bar_index"].to_numpy(),
        prediction=table["prediction"].to_numpy(),
        target=table["target"].to_numpy(),
        thresholds={kind: found[kind] for kind in evaluated.signals},
        fitted_mean=result.fit_target_mean,
        gives_signals=evaluated.gives_signals,
    )


def _thresholds(result: FoldResult, rules: SignalRules) -> Mapping[str, Pair]:
    found = result.thresholds
    return {
        PERCENTILE: Pair(found.long_percentile, found.short_percentile),
        OPTIMAL: Pair(found.long_optimal, found.short_optimal),
        ZERO: Pair(0.0, 0.0),
        OWN: Pair(rules.own_long_threshold, rules.own_short_threshold),
    }
