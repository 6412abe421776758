"""Rows of runs and folds to domain values and back."""

from __future__ import annotations

from dataclasses import asdict
from decimal import Decimal

from psycopg.types.json import Jsonb

from services.runs.domain.columns import DatasetVersion
from services.runs.domain.folds import Fold, FoldResult, Thresholds
from services.runs.domain.plan import Caution, Facts, PlannedFold, Span, Window, Windows
from services.runs.domain.runs import Learner, Plan, Run, SignalRules, TargetTransform
from services.runs.storage.rows import Row, json, progression, progression_row


def run_row(run: Run) -> Row:
    """What of a run may change."""
    return {
        "run_id": run.run_id,
        "folds_completed": run.folds_completed,
        "folds_learned_nothing": run.folds_learned_nothing,
        "summary_metrics": json(run.summary),
        "environment": json(run.environment),
        **progression_row(run.progression),
    }


def new_run_row(run: Run) -> Row:
    plan, dataset = run.plan, run.plan.dataset
    walk = asdict(plan.windows) | {"fit_share": str(plan.windows.fit_share)}
    return {
        "name": run.name,
        "dataset_id": dataset.dataset_id,
        "dataset_slug": dataset.slug,
        "dataset_version": dataset.version,
        "content_hash": dataset.content_hash,
        "bar_interval_ms": dataset.facts.bar_interval_ms,
        "lookback_rows": dataset.facts.lookback_rows,
        "lookahead_rows": dataset.facts.lookahead_rows,
        "indicator_rows": dataset.facts.rows,
        "target_column": plan.target,
        "feature_columns": list(plan.features),
        "horizon_bars": plan.horizon_bars,
        "device": run.device,
        "walk_config": Jsonb(walk),
        "hyperparameters": Jsonb(asdict(plan.learner)),
        "signal_rules": Jsonb(asdict(plan.signal_rules)),
        "cautions": Jsonb([asdict(c) for c in plan.cautions]),
        "fold_count": run.fold_count,
        "predicted_rows": plan.predicted_rows,
        "estimated_seconds": plan.estimated_seconds,
        **run_row(run),
    }


def run(row: Row) -> Run:
    return Run(
        run_id=row["run_id"],
        name=row["name"],
        plan=_plan(row),
        device=row["device"],
        fold_count=row["fold_count"],
        progression=progression(row),
        folds_completed=row["folds_completed"],
        folds_learned_nothing=row["folds_learned_nothing"],
        summary=row["summary_metrics"],
        environment=row["environment"],
    )


def _plan(row: Row) -> Plan:
    walk, learner = row["walk_config"], row["hyperparameters"]
    return Plan(
        dataset=_dataset(row),
        target=row["target_column"],
        features=tuple(row["feature_columns"]),
        horizon_bars=row["horizon_bars"],
        windows=Windows(**walk | {"fit_share": Decimal(walk["fit_share"])}),
        learner=Learner(
            **learner | {"target_transform": TargetTransform(learner["target_transform"])}
        ),
        signal_rules=SignalRules(**row["signal_rules"]),
        cautions=tuple(Caution(**c) for c in row["cautions"]),
        predicted_rows=row["predicted_rows"],
        estimated_seconds=row["estimated_seconds"],
    )


def _dataset(row: Row) -> DatasetVersion:
    return DatasetVersion(
        dataset_id=row["dataset_id"],
        slug=row["dataset_slug"],
        version=row["dataset_version"],
        content_hash=row["content_hash"],
        facts=Facts(
            rows=row["indicator_rows"],
            lookback_rows=row["lookback_rows"],
            lookahead_rows=row["lookahead_rows"],
            bar_interval_ms=row["bar_interval_ms"],
        ),
    )


def new_fold_row(run: Run, fold: PlannedFold) -> Row:
    row: Row = {"run_id": run.run_id, "fold_number": fold.number}
    for suffix in ("idx", "ts_ms"):
        train, fit, validation, test = (
            w.rows if suffix == "idx" else w.times_ms
            for w in (fold.train, fold.fit, fold.validation, fold.test)
        )
        row |= {
            f"train_start_{suffix}": train.start,
            f"fit_end_{suffix}": fit.end,
            f"validation_start_{suffix}": validation.start,
            f"train_end_{suffix}": train.end,
            f"test_start_{suffix}": test.start,
            f"test_end_{suffix}": test.end,
        }
    return row


def fold(row: Row) -> Fold:
    def window(start: str, end: str) -> Window:
        rows, times = (Span(row[f"{start}_{s}"], row[f"{end}_{s}"]) for s in ("idx", "ts_ms"))
        return Window(rows, times)

    planned = PlannedFold(
        number=row["fold_number"],
        train=window("train_start", "train_end"),
        fit=window("train_start", "fit_end"),
        validation=window("validation_start", "train_end"),
        test=window("test_start", "test_end"),
    )
    return Fold(planned, None if row["attempt"] is None else _result(row))


def result_row(result: FoldResult) -> Row:
    return vars(result) | {
        "thresholds": Jsonb(asdict(result.thresholds)),
        "metrics": json(result.metrics),
        "importances": json(result.importances),
        "warnings": Jsonb(list(result.warnings)),
    }


def _result(row: Row) -> FoldResult:
    known = {name: row[name] for name in FoldResult.__dataclass_fields__}
    return FoldResult(
        **known
        | {
            "thresholds": Thresholds(**row["thresholds"]),
            "warnings": tuple(row["warnings"]),
        }
    )
