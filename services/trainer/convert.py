"""Protobuf to domain and back; what breaks a rule is refused here, every field at once."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping
from typing import Any, Final

import numpy as np
import pyarrow as pa
from google.protobuf.struct_pb2 import Struct
from stage1.runs.v1 import plan_pb2, run_pb2
from stage1.trainer.v1 import trainer_service_pb2 as pb

from services.shared.arrow_stream import ipc_messages
from services.shared.errors import InvalidRequest, Violation
from services.shared.evaluation import Pair
from services.shared.learner import BOUNDS, TANH_K_BOUNDS
from services.shared.uuids import uuid_of
from services.trainer.domain import (
    Device,
    Environment,
    Event,
    Finished,
    Fold,
    FoldCompleted,
    FoldStarted,
    Heartbeat,
    Learner,
    Log,
    Optimal,
    Progress,
    Recipe,
    Thresholds,
    TrainedFold,
    TrainJob,
    TransformKind,
    Window,
)

PART_BYTES: Final = 1 << 20
PREDICTIONS: Final = pa.schema(
    [
        pa.field("timestamp_ms", pa.int64(), nullable=False),
        pa.field("bar_index", pa.int64(), nullable=False),
        pa.field("prediction", pa.float64(), nullable=False),
        pa.field("target", pa.float64()),
    ]
)
_BOUNDS: Final[Mapping[str, tuple[float, float]]] = {**BOUNDS, "tanh_k": TANH_K_BOUNDS}
_TRANSFORMS: Final = {
    plan_pb2.Learner.TARGET_TRANSFORM_UNSPECIFIED: TransformKind.NONE,
    plan_pb2.Learner.TARGET_TRANSFORM_NONE: TransformKind.NONE,
    plan_pb2.Learner.TARGET_TRANSFORM_STANDARDIZE: TransformKind.STANDARDIZE,
    plan_pb2.Learner.TARGET_TRANSFORM_TANH: TransformKind.TANH,
}


def job(request: pb.TrainRequest) -> TrainJob:
    broken = [*_broken(request), *_broken_learner(request.learner)]
    for at, planned in enumerate(request.folds):
        broken += [Violation(f"folds[{at}].{v.field}", v.message) for v in _broken_fold(planned)]
    if broken:
        raise InvalidRequest(broken)
    return TrainJob(
        run_id=request.run_id,
        epoch=request.epoch,
        dataset_id=request.dataset_id,
        version=request.version,
        target=request.target_column,
        recipe=_recipe(request),
        folds=[_fold(planned) for planned in request.folds],
        device=Device(request.device) if request.device else None,
        bar_interval_ms=request.bar_interval_ms,
    )


def _broken(request: pb.TrainRequest) -> Iterator[Violation]:
    features = list(request.feature_columns)
    rules = {
        "run_id": ("is not a UUID", uuid_of(request.run_id) is not None),
        "dataset_id": ("is missing", request.dataset_id != ""),
        "version": ("is below 1", request.version >= 1),
        "target_column": ("is missing", request.target_column != ""),
        "feature_columns": (
            "must be one or more, each once, and not the target",
            0 < len(features) == len({*features} - {request.target_column}),
        ),
        "folds": ("is empty", len(request.folds) > 0),
        "device": (
            f"is {request.device!r}: cpu, cuda or empty",
            request.device in ("", *Device),
        ),
        "bar_interval_ms": ("is below 1", request.bar_interval_ms >= 1),
        "own_long_threshold": ("is not finite", math.isfinite(request.own_long_threshold)),
        "own_short_threshold": ("is not finite", math.isfinite(request.own_short_threshold)),
    }
    return (Violation(field, says) for field, (says, holds) in rules.items() if not holds)


def _broken_learner(learner: plan_pb2.Learner) -> Iterator[Violation]:
    for field, value in _numbers(learner).items():
        low, high = _BOUNDS[field]
        if not low <= value <= high:
            yield Violation(f"learner.{field}", f"is {value}: it must lie in [{low}, {high}]")
    if learner.target_transform not in _TRANSFORMS:
        yield Violation("learner.target_transform", "is unknown")


def _broken_fold(planned: plan_pb2.PlannedFold) -> Iterator[Violation]:
    for name in ("train", "fit", "validation", "test"):
        window = getattr(planned, name)
        if not 0 <= window.start_index < window.end_index:
            yield Violation(name, "is not a range of rows")
    edges = (
        *(planned.train.start_index, planned.fit.start_index, planned.fit.end_index),
        *(planned.validation.start_index, planned.validation.end_index),
        *(planned.train.end_index, planned.test.start_index),
    )
    if any(a > b for a, b in itertools.pairwise(edges)):
        yield Violation("fit", "must end before validation starts, both inside train, before test")


def _recipe(request: pb.TrainRequest) -> Recipe:
    long, short = (
        getattr(request, field) if request.HasField(field) else None
        for field in ("own_long_threshold", "own_short_threshold")
    )
    return Recipe(
        features=tuple(request.feature_columns),
        learner=_learner(request.learner),
        own=None if long is None and short is None else Pair(long, short),
        signals_when_learned_nothing=request.signals_when_learned_nothing,
    )


def _learner(learner: plan_pb2.Learner) -> Learner:
    return Learner(
        **_numbers(learner),
        transform=_TRANSFORMS[learner.target_transform],
        parameters=dict(learner.parameters),
    )


def _numbers(learner: plan_pb2.Learner) -> dict[str, Any]:
    """Those that are set."""
    return {f.name: value for f, value in learner.ListFields() if f.name in _BOUNDS}


def _fold(planned: plan_pb2.PlannedFold) -> Fold:
    return Fold(
        number=planned.fold,
        train=_window(planned.train),
        fit=_window(planned.fit),
        validation=_window(planned.validation),
        test=_window(planned.test),
    )


def _window(window: plan_pb2.Window) -> Window:
    return Window(
        start=window.start_index,
        end=window.end_index,
        start_ts_ms=window.start_ts_ms,
        end_ts_ms=window.end_ts_ms,
    )


def responses(event: Event) -> Iterator[pb.TrainResponse]:
    """A completed fold is several messages; every other event is one."""
    match event:
        case Environment():
            yield pb.TrainResponse(environment=_environment(event))
        case Log():
            yield pb.TrainResponse(log=run_pb2.Log(text=event.text))
        case FoldStarted():
            yield pb.TrainResponse(fold_started=run_pb2.FoldStarted(fold=event.fold))
        case Progress():
            yield pb.TrainResponse(progress=_progress(event))
        case Heartbeat():
            yield pb.TrainResponse(heartbeat=run_pb2.Heartbeat())
        case FoldCompleted():
            yield from _completed(event)
        case Finished():
            yield pb.TrainResponse(finished=pb.TrainFinished())


def _environment(environment: Environment) -> pb.TrainEnvironment:
    return pb.TrainEnvironment(
        device=environment.device,
        versions=environment.versions,
        threads=environment.threads,
        seed=environment.seed,
    )


def _progress(progress: Progress) -> run_pb2.Progress:
    return run_pb2.Progress(
        fold=progress.fold,
        round=progress.round,
        rounds=progress.rounds,
        train_score=progress.train_score,
        validation_score=progress.validation_score,
    )


def _completed(event: FoldCompleted) -> Iterator[pb.TrainResponse]:
    trained = event.trained
    for message in ipc_messages(PREDICTIONS, [_predictions(event)]):
        for part in _parts(message):
            yield pb.TrainResponse(predictions=pb.PredictionsPart(fold=trained.fold, ipc=part))
    for part in _parts(trained.model):
        yield pb.TrainResponse(model=pb.ModelPart(fold=trained.fold, data=part))
    completed = pb.TrainedFold(fold=trained.fold, result=_result(trained, event.seconds))
    yield pb.TrainResponse(fold_completed=completed)


def _parts(data: bytes) -> Iterator[bytes]:
    return (data[at : at + PART_BYTES] for at in range(0, len(data), PART_BYTES))


def _predictions(event: FoldCompleted) -> pa.RecordBatch:
    trained = event.trained
    first = event.first_test_row
    columns = [
        pa.array(event.timestamp_ms),
        pa.array(np.arange(first, first + trained.prediction.size)),
        pa.array(trained.prediction),
        pa.array(trained.target, from_pandas=True),  # NaN is null
    ]
    return pa.record_batch(columns, schema=PREDICTIONS)


def _result(trained: TrainedFold, seconds: float) -> run_pb2.FoldResult:
    metrics = Struct()
    metrics.update(trained.evaluation.as_dict())
    return run_pb2.FoldResult(
        best_iteration=trained.best_iteration,
        best_score=trained.best_score,
        learned_nothing=trained.learned_nothing,
        constant_score=trained.constant_score,
        thresholds=_thresholds(trained.thresholds),
        metrics=metrics,
        importances=trained.importances,
        device=trained.device,
        seconds=seconds,
        fit_rows=trained.fit_rows,
        validation_rows=trained.validation_rows,
        test_rows=trained.prediction.size,
        model_sha256=trained.model_sha256,
        warnings=trained.warnings,
        fit_target_mean=trained.fit_target_mean,
    )


def _thresholds(found: Thresholds) -> run_pb2.Thresholds:
    nothing = Optimal(threshold=math.nan, cases=0, profit_factor=None)
    long, short = found.long_optimal, found.short_optimal
    return run_pb2.Thresholds(
        long_percentile=found.long_percentile,
        short_percentile=found.short_percentile,
        long_percentile_share=found.long_percentile_share,
        short_percentile_share=found.short_percentile_share,
        long_optimal=long.threshold if long else None,
        short_optimal=short.threshold if short else None,
        long_optimal_cases=(long or nothing).cases,
        short_optimal_cases=(short or nothing).cases,
        long_optimal_profit_factor=(long or nothing).profit_factor,
        short_optimal_profit_factor=(short or nothing).profit_factor,
    )
