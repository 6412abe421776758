"""Runs, request to proto and proto to answer."""

from __future__ import annotations

import json
from typing import Any, Final

import orjson
from google.protobuf.message import Message
from stage1.runs.v1 import plan_pb2, run_pb2

from gateway.http.schemas import runs as schemas
from gateway.http.shapes.words import iso, number, plain, word

_SUMMARY_KIND: Final = "percentile"
_TRANSFORM: Final = "TARGET_TRANSFORM_"


def spec(asked: schemas.RunSpec) -> plan_pb2.RunSpec:
    return plan_pb2.RunSpec(
        dataset=asked.dataset,
        version=asked.version or 0,
        target_column=asked.target_column,
        feature_columns=asked.feature_columns,
        walk_forward=plan_pb2.WalkForward(**asked.walk_config.model_dump()),
        learner=_learner(asked.hyperparameters),
        horizon_bars=asked.horizon_bars,
        signal_rules=plan_pb2.SignalRules(**asked.signal_rules.model_dump()),
        device=asked.device,
    )


def _learner(asked: schemas.Hyperparameters) -> plan_pb2.Learner:
    ratio = asked.val_split_ratio
    return plan_pb2.Learner(
        num_boost_round=asked.num_boost_round,
        early_stopping_rounds=asked.early_stopping_rounds,
        min_boost_rounds=asked.min_boost_rounds,
        val_split_ratio="" if ratio is None else repr(ratio),
        seed=asked.seed,
        target_transform=number(
            plan_pb2.Learner.TargetTransform, asked.target_transform, _TRANSFORM
        ),
        tanh_k=asked.tanh_k,
        parameters={name: _text(v) for name, v in (asked.model_extra or {}).items()},
    )


def _text(value: str | bool | int | float) -> str:
    return value if isinstance(value, str) else json.dumps(value)  # orjson knows 64 bits only


def plan(proto: plan_pb2.Plan) -> schemas.Plan:
    return schemas.Plan(
        dataset_id=proto.dataset_id,
        dataset_slug=proto.dataset_slug,
        version=proto.version,
        content_hash=proto.content_hash,
        target_column=proto.target_column,
        feature_columns=list(proto.feature_columns),
        walk_config=_set_fields(proto.walk_forward),
        hyperparameters=_hyperparameters(proto.learner),
        signal_rules=schemas.SignalRules(**_set_fields(proto.signal_rules)),
        horizon_bars=proto.horizon_bars,
        fold_count=len(proto.folds),
        folds=[schemas.PlannedFold(**_windows(f)) for f in proto.folds],
        warnings=list(proto.warnings),
        indicator_rows=proto.indicator_rows,
        predicted_rows=proto.predicted_rows,
        estimated_seconds=proto.estimated_seconds,
    )


def run(proto: run_pb2.Run) -> schemas.Run:
    return schemas.Run(**_run(proto))


def links(proto: run_pb2.Run) -> dict[str, str]:
    here = f"/api/runs/{proto.run_id}"
    parts = ("folds", "predictions", "events")
    return {
        "self": here,
        **{part: f"{here}/{part}" for part in parts},
        "dataset": f"/api/datasets/{proto.plan.dataset_id}",
        "simulations": f"/api/simulations?run_id={proto.run_id}",
    }


def _run(proto: run_pb2.Run) -> dict[str, Any]:
    return {
        "run_id": proto.run_id,
        "name": proto.name,
        "dataset_id": proto.plan.dataset_id,
        "dataset_slug": proto.plan.dataset_slug,
        "version": proto.plan.version,
        "content_hash": proto.plan.content_hash,
        "error": proto.error or None,
        "status": status(proto),
        "target_column": proto.plan.target_column,
        "feature_columns": list(proto.plan.feature_columns),
        "hyperparameters": _hyperparameters(proto.plan.learner),
        "walk_config": _set_fields(proto.plan.walk_forward),
        "signal_rules": _set_fields(proto.plan.signal_rules),
        "horizon_bars": proto.plan.horizon_bars,
        "warnings": list(proto.plan.warnings),
        "summary_metrics": _summary(plain(proto.summary_metrics)),
        "environment": plain(proto.environment),
        "fold_count": proto.fold_count,
        "folds_completed": proto.folds_completed,
        "folds_learned_nothing": proto.folds_learned_nothing,
        "attempt": proto.attempt,
        **times(proto),
    }


def status(proto: run_pb2.Run) -> str:
    return run_pb2.Run.State.Name(proto.state).removeprefix("STATE_")


def times(proto: Any) -> dict[str, Any]:
    """When a run or simulation was made, begun and ended."""
    started = proto.started_at_ms if proto.HasField("started_at_ms") else None
    completed = proto.completed_at_ms if proto.HasField("completed_at_ms") else None
    took = completed - started if started is not None and completed is not None else None
    return {
        "created_at": iso(proto.created_at_ms),
        "started_at": None if started is None else iso(started),
        "completed_at": None if completed is None else iso(completed),
        "duration_ms": took,
    }


def _summary(pooled: dict[str, Any]) -> dict[str, Any]:
    """The figures existing clients read, flat, before all the others."""
    if not pooled:
        return {}
    signals = pooled.get("signals", {}).get(_SUMMARY_KIND, {})

    def figure(side: str, name: str) -> Any:
        return signals.get(side, {}).get(name)

    return {
        "folds": pooled.get("n_folds"),
        "hit_rate_long": figure("long", "hit_rate"),
        "hit_rate_short": figure("short", "hit_rate"),
        "hit_rate_overall": figure("dual", "hit_rate"),
        "pf_long": figure("long", "profit_factor"),
        "pf_short": figure("short", "profit_factor"),
        "pf_dual": figure("dual", "profit_factor"),
        **pooled,
    }


def fold(proto: run_pb2.Fold) -> schemas.Fold:
    windows = _windows(proto.planned)
    if not proto.HasField("result"):
        return schemas.Fold(**windows, stored=False)
    return schemas.Fold(**windows, stored=True, **fold_result(proto.result))


def fold_result(result: run_pb2.FoldResult) -> dict[str, Any]:
    return {
        "best_iteration": result.best_iteration,
        "best_score": result.best_score,
        "constant_score": result.constant_score,
        "learned_nothing": result.learned_nothing,
        "thresholds": _thresholds(result.thresholds),
        "metrics": plain(result.metrics),
        "importances": dict(sorted(result.importances.items(), key=lambda one: -one[1])),
        "device": result.device,
        "seconds": result.seconds,
        "model_sha256": result.model_sha256,
        "attempt": result.attempt,
        "warnings": list(result.warnings),
    }


def _thresholds(proto: run_pb2.Thresholds) -> dict[str, Any]:
    """Every field; null where there is none."""
    return (
        dict.fromkeys(proto.DESCRIPTOR.fields_by_name)
        | {
            field.name: getattr(proto, field.name)
            for field in proto.DESCRIPTOR.fields
            if not field.has_presence
        }
        | _set_fields(proto)
    )


def _windows(proto: plan_pb2.PlannedFold) -> dict[str, Any]:
    train, test = proto.train, proto.test
    return {
        "fold_number": proto.fold,
        "train_start_idx": train.start_index,
        "train_end_idx": train.end_index,
        "test_start_idx": test.start_index,
        "test_end_idx": test.end_index,
        "train_start_ts_ms": train.start_ts_ms,
        "train_end_ts_ms": train.end_ts_ms,
        "test_start_ts_ms": test.start_ts_ms,
        "test_end_ts_ms": test.end_ts_ms,
        "fit_end_idx": proto.fit.end_index,
        "validation_start_idx": proto.validation.start_index,
        "samples_train": train.end_index - train.start_index,
        "samples_test": test.end_index - test.start_index,
    }


def _set_fields(proto: Message) -> dict[str, Any]:
    return {field.name: value for field, value in proto.ListFields()}


def _hyperparameters(proto: plan_pb2.Learner) -> dict[str, Any]:
    known = _set_fields(proto)
    known.pop("parameters", None)
    if ratio := known.get("val_split_ratio"):
        known["val_split_ratio"] = float(ratio)
    if transform := known.get("target_transform"):
        known["target_transform"] = word(plan_pb2.Learner.TargetTransform, transform, _TRANSFORM)
    return {**known, **{name: _number(text) for name, text in sorted(proto.parameters.items())}}


def _number(text: str) -> Any:
    """XGBoost takes text; to a reader `0.05` is a number and `hist` a word."""
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return text
