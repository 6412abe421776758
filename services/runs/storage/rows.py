"""Rows of the run store to domain values and back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Final

from psycopg.types.json import Jsonb

from services.runs.domain.columns import DatasetVersion
from services.runs.domain.folds import Fold, FoldResult, Thresholds
from services.runs.domain.plan import Caution, Facts, PlannedFold, Span, Window, Windows
from services.runs.domain.runs import Learner, Plan, Run, SignalRules, TargetTransform
from services.runs.domain.simulations import (
    Bucket,
    Intrabar,
    Mode,
    Result,
    Settings,
    Simulation,
    Threshold,
)
from services.runs.domain.states import Lease, Progression, State
from services.runs.domain.workers import Kind, Worker

Row = dict[str, Any]

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MS: Final = timedelta(milliseconds=1)


def at(ms: int | None) -> datetime | None:
    return None if ms is None else _EPOCH + ms * _MS


def ms(at: datetime) -> int:
    return (at - _EPOCH) // _MS


def ms_or_none(at: datetime | None) -> int | None:
    return None if at is None else ms(at)


def _json(value: Mapping[str, Any] | None) -> Jsonb | None:
    return None if value is None else Jsonb(dict(value))


def progression_row(progression: Progression) -> Row:
    lease = progression.lease
    return {
        "state": progression.state,
        "error": progression.error,
        "attempt": progression.attempt,
        "fruitless": progression.fruitless,
        "worker_id": lease and lease.worker_id,
        "lease_until": lease and at(lease.until_ms),
        "created_at": at(progression.created_at_ms),
        "started_at": at(progression.started_at_ms),
        "completed_at": at(progression.completed_at_ms),
    }


def _progression(row: Row) -> Progression:
    leased = row["lease_until"] is not None
    return Progression(
        state=State(row["state"]),
        error=row["error"],
        attempt=row["attempt"],
        fruitless=row["fruitless"],
        lease=Lease(worker_id=row["worker_id"], until_ms=ms(row["lease_until"]))
        if leased
        else None,
        created_at_ms=ms(row["created_at"]),
        started_at_ms=ms_or_none(row["started_at"]),
        completed_at_ms=ms_or_none(row["completed_at"]),
    )


def run_row(run: Run) -> Row:
    """What of a run may change."""
    return {
        "run_id": run.run_id,
        "folds_completed": run.folds_completed,
        "folds_learned_nothing": run.folds_learned_nothing,
        "summary_metrics": _json(run.summary),
        "environment": _json(run.environment),
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
        progression=_progression(row),
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
        "metrics": _json(result.metrics),
        "importances": _json(result.importances),
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


def simulation_row(simulation: Simulation) -> Row:
    metrics = simulation.result.metrics if simulation.result else None
    return {
        "simulation_id": simulation.simulation_id,
        "metrics": _json(metrics),
        **progression_row(simulation.progression),
    }


def new_simulation_row(simulation: Simulation) -> Row:
    return {
        "run_id": simulation.run_id,
        "dataset_id": simulation.dataset_id,
        "dataset_slug": simulation.dataset_slug,
        "dataset_version": simulation.version,
        "settings": Jsonb(asdict(simulation.settings)),
        **simulation_row(simulation),
    }


def simulation(row: Row, buckets: list[Row]) -> Simulation:
    has_result = row["metrics"] is not None
    return Simulation(
        simulation_id=row["simulation_id"],
        run_id=row["run_id"],
        dataset_id=row["dataset_id"],
        dataset_slug=row["dataset_slug"],
        version=row["dataset_version"],
        settings=_settings(row["settings"]),
        progression=_progression(row),
        result=Result(metrics=row["metrics"], buckets=tuple(map(_bucket, buckets)))
        if has_result
        else None,
    )


def _settings(stored: Mapping[str, Any]) -> Settings:
    return Settings(
        **dict(stored)
        | {
            "mode": Mode(stored["mode"]),
            "threshold": Threshold(stored["threshold"]),
            "intrabar": Intrabar(stored["intrabar"]),
        }
    )


def bucket_row(simulation: Simulation, bucket: Bucket) -> Row:
    return vars(bucket) | {
        "simulation_id": simulation.simulation_id,
        "exit_reasons": Jsonb(dict(bucket.exit_reasons)),
    }


def _bucket(row: Row) -> Bucket:
    return Bucket(**{name: row[name] for name in Bucket.__dataclass_fields__})


def worker_row(worker: Worker) -> Row:
    return vars(worker) | {
        "versions": Jsonb(dict(worker.versions)),
        "last_seen": at(worker.last_seen_ms),
    }


def worker(row: Row) -> Worker:
    return Worker(
        worker_id=row["worker_id"],
        kind=Kind(row["kind"]),
        address=row["address"],
        device=row["device"],
        memory_bytes=row["memory_bytes"],
        slots=row["slots"],
        versions=row["versions"],
        last_seen_ms=ms(row["last_seen"]),
        busy=row["busy"],
    )
