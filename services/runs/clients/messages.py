"""The messages of runs.v1 that travel both ways: to callers, and to and from workers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any, Final

from google.protobuf.json_format import MessageToDict, ParseDict
from google.protobuf.message import Message
from google.protobuf.struct_pb2 import Struct
from stage1.runs.v1 import plan_pb2, run_pb2, simulation_pb2

from services.runs.domain.folds import FoldResult, Thresholds
from services.runs.domain.plan import PlannedFold, Window, Windows
from services.runs.domain.runs import Learner
from services.runs.domain.simulations import Bucket, Result, Settings

_AS_THEY_ARE: Final = (
    *("best_iteration", "best_score", "constant_score", "learned_nothing", "device", "seconds"),
    *("fit_rows", "validation_rows", "test_rows", "fit_target_mean", "model_sha256", "attempt"),
)


def struct(values: Mapping[str, Any] | None) -> Struct | None:
    if values is None:
        return None
    message = Struct()
    message.update(dict(values))
    return message


def unset_as_none(message: Message, names: list[str]) -> dict[str, Any]:
    """Fields by name; one with presence that is unset is None."""
    described = message.DESCRIPTOR.fields_by_name
    return {
        name: None
        if described[name].has_presence and not message.HasField(name)
        else getattr(message, name)
        for name in names
    }


def planned_fold(fold: PlannedFold) -> plan_pb2.PlannedFold:
    return plan_pb2.PlannedFold(
        fold=fold.number,
        train=_window(fold.train),
        fit=_window(fold.fit),
        validation=_window(fold.validation),
        test=_window(fold.test),
    )


def _window(window: Window) -> plan_pb2.Window:
    return plan_pb2.Window(
        start_index=window.rows.start,
        end_index=window.rows.end,
        start_ts_ms=window.times_ms.start,
        end_ts_ms=window.times_ms.end,
    )


def learner(learner: Learner, windows: Windows) -> plan_pb2.Learner:
    transform = f"TARGET_TRANSFORM_{learner.target_transform}"
    return plan_pb2.Learner(
        num_boost_round=learner.num_boost_round,
        early_stopping_rounds=learner.early_stopping_rounds,
        min_boost_rounds=learner.min_boost_rounds,
        val_split_ratio=str(windows.fit_share),
        seed=learner.seed,
        target_transform=plan_pb2.Learner.TargetTransform.Value(transform),
        tanh_k=learner.tanh_k,
        parameters=learner.parameters,
    )


def thresholds(found: Thresholds) -> run_pb2.Thresholds:
    return run_pb2.Thresholds(**vars(found))


def fold_result(result: FoldResult) -> run_pb2.FoldResult:
    return run_pb2.FoldResult(
        **{name: getattr(result, name) for name in _AS_THEY_ARE},
        thresholds=thresholds(result.thresholds),
        metrics=struct(result.metrics),
        importances=result.importances,
        warnings=result.warnings,
    )


def fold_result_from(message: run_pb2.FoldResult) -> FoldResult:
    names = [field.name for field in fields(Thresholds)]
    return FoldResult(
        **{name: getattr(message, name) for name in _AS_THEY_ARE},
        thresholds=Thresholds(**unset_as_none(message.thresholds, names)),
        metrics=MessageToDict(message.metrics),
        importances=dict(message.importances),
        warnings=tuple(message.warnings),
    )


def settings(settings: Settings) -> simulation_pb2.SimulationSettings:
    kind = simulation_pb2.SimulationSettings
    named = vars(settings) | {
        "mode": kind.Mode.Value(f"MODE_{settings.mode}"),
        "threshold": kind.Threshold.Value(f"THRESHOLD_{settings.threshold}"),
        "intrabar": kind.Intrabar.Value(f"INTRABAR_{settings.intrabar}"),
    }
    return kind(**named)


def simulation_result(result: Result) -> simulation_pb2.SimulationResult:
    message = simulation_pb2.SimulationResult(
        buckets=[simulation_pb2.TradeBucket(**vars(b)) for b in result.buckets]
    )
    # Metrics of an older simulator may have fields that are gone.
    return ParseDict(dict(result.metrics), message, ignore_unknown_fields=True)


def simulation_result_from(message: simulation_pb2.SimulationResult) -> Result:
    names = [field.name for field in fields(Bucket)]
    metrics = MessageToDict(
        message, preserving_proto_field_name=True, always_print_fields_with_no_presence=True
    )
    del metrics["buckets"]
    return Result(
        metrics=metrics,
        buckets=tuple(
            Bucket(**{n: getattr(b, n) for n in names} | {"exit_reasons": dict(b.exit_reasons)})
            for b in message.buckets
        ),
    )
