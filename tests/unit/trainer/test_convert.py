from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from google.protobuf.json_format import MessageToDict
from stage1.runs.v1 import plan_pb2
from stage1.trainer.v1 import trainer_service_pb2 as pb

from services.shared.errors import InvalidRequest
from services.shared.evaluation import FoldEvaluation, Pair
from services.trainer import convert
from services.trainer.domain import (
    Device,
    Environment,
    FoldCompleted,
    Heartbeat,
    Learner,
    TrainedFold,
    TransformKind,
)
from tests.unit.trainer.examples import BAR_MS, trained
from tests.unit.trainer.requests import request


def violations(asked: pb.TrainRequest) -> list[str]:
    with pytest.raises(InvalidRequest) as caught:
        convert.job(asked)
    return [v.field for v in caught.value.violations]


def test_a_request_becomes_a_job() -> None:
    asked = request(folds=2)
    asked.device = "cpu"
    asked.own_long_threshold = 0.0
    asked.learner.target_transform = plan_pb2.Learner.TARGET_TRANSFORM_TANH
    job = convert.job(asked)
    assert (job.first_row, job.end_row, job.device) == (0, 706, Device.CPU)
    assert [fold.number for fold in job.folds] == [0, 1]
    assert job.recipe.own == Pair(0.0, None)
    assert job.recipe.learner.transform is TransformKind.TANH


def test_what_a_learner_leaves_out_takes_its_default() -> None:
    asked = request()
    asked.learner.Clear()
    job = convert.job(asked)
    assert job.recipe.learner == Learner()
    assert (job.recipe.own, job.device) == (None, None)


def test_every_broken_field_is_named_in_one_answer() -> None:
    asked = request(folds=2)
    asked.run_id = "seven"
    asked.version = 0
    asked.device = "tpu"
    asked.bar_interval_ms = 0
    asked.own_long_threshold = float("nan")
    asked.learner.num_boost_round = 0
    asked.learner.seed = -1
    asked.folds[1].test.end_index = asked.folds[1].test.start_index
    assert violations(asked) == [
        *("run_id", "version", "device", "bar_interval_ms", "own_long_threshold"),
        *("learner.num_boost_round", "learner.seed", "folds[1].test"),
    ]


@pytest.mark.parametrize("features", [[], ["a", "a"], ["a", "y"]])
def test_features_are_some_each_once_and_never_the_target(features: Sequence[str]) -> None:
    asked = request()
    asked.feature_columns[:] = features
    assert violations(asked) == ["feature_columns"]


def test_a_validation_that_reaches_into_the_fitted_part_is_refused() -> None:
    asked = request()
    asked.folds[0].validation.start_index = asked.folds[0].fit.end_index - 1
    assert violations(asked) == ["folds[0].fit"]


def test_a_job_without_folds_is_refused() -> None:
    assert violations(request(folds=0)) == ["folds"]


@pytest.fixture(scope="module")
def completed() -> FoldCompleted:
    fold = trained()
    fold.target[3] = np.nan
    times = np.arange(506, 606) * BAR_MS
    return FoldCompleted(trained=fold, timestamp_ms=times, first_test_row=506, seconds=1.5)


def test_a_fold_is_sent_as_predictions_then_model_then_its_result(completed: FoldCompleted) -> None:
    kinds = [r.WhichOneof("event") for r in convert.responses(completed)]
    assert kinds == ["predictions"] * 3 + ["model"] + ["fold_completed"]


def test_predictions_are_an_arrow_stream_of_their_own_with_nulls_for_unknown_targets(
    completed: FoldCompleted,
) -> None:
    pieces = [r.predictions.ipc for r in convert.responses(completed) if r.HasField("predictions")]
    table = pa.ipc.open_stream(b"".join(pieces)).read_all()
    table.validate(full=True)
    assert table.schema == convert.PREDICTIONS
    assert table["bar_index"].to_pylist() == list(range(506, 606))
    assert table["timestamp_ms"][0].as_py() == 506 * BAR_MS
    assert table["target"].null_count == 1
    assert table["target"][3].as_py() is None
    np.testing.assert_array_equal(table["prediction"].to_numpy(), completed.trained.prediction)


def test_a_large_model_is_cut_into_parts_of_at_most_a_mebibyte(completed: FoldCompleted) -> None:
    model = bytes(2 * convert.PART_BYTES + 1)
    large = replace(completed, trained=replace(completed.trained, model=model))
    parts = [r.model.data for r in convert.responses(large) if r.HasField("model")]
    assert [len(part) for part in parts] == [convert.PART_BYTES, convert.PART_BYTES, 1]
    assert b"".join(parts) == model


def result_of(event: FoldCompleted) -> pb.TrainedFold:
    return list(convert.responses(event))[-1].fold_completed


def test_metrics_cross_the_wire_whole(completed: FoldCompleted) -> None:
    metrics = MessageToDict(result_of(completed).result.metrics)
    assert FoldEvaluation.from_dict(metrics) == completed.trained.evaluation
    counted = FoldEvaluation.from_dict(metrics).as_dict()["signals"]["percentile"]["long"]
    assert isinstance(counted["n_signals"], int)


def test_a_result_tells_what_was_trained(completed: FoldCompleted) -> None:
    fold, result = completed.trained, result_of(completed).result
    assert (result.best_iteration, result.best_score) == (fold.best_iteration, fold.best_score)
    assert (result.fit_rows, result.validation_rows, result.test_rows) == (300, 194, 100)
    assert (result.device, result.seconds) == ("cpu", 1.5)
    assert result.model_sha256 == fold.model_sha256
    assert dict(result.importances) == fold.importances
    assert result.thresholds.long_percentile == fold.thresholds.long_percentile


def without_thresholds(fold: TrainedFold) -> TrainedFold:
    none = replace(
        fold.thresholds,
        long_percentile=None,
        short_percentile=0.0,
        long_optimal=None,
        short_optimal=None,
    )
    return replace(fold, thresholds=none)


def test_a_missing_threshold_is_unset_and_a_zero_one_is_zero(completed: FoldCompleted) -> None:
    event = replace(completed, trained=without_thresholds(completed.trained))
    found = result_of(event).result.thresholds
    assert not found.HasField("long_percentile")
    assert not found.HasField("long_optimal")
    assert found.HasField("short_percentile")
    assert found.long_optimal_cases == 0


def test_every_other_event_is_one_message() -> None:
    environment = Environment(device=Device.CPU, versions={"xgboost": "3"}, threads=2, seed=43)
    (said,) = convert.responses(environment)
    assert (said.environment.device, said.environment.versions["xgboost"]) == ("cpu", "3")
    (beat,) = convert.responses(Heartbeat())
    assert beat.WhichOneof("event") == "heartbeat"
