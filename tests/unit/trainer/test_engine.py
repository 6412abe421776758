from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest
import xgboost as xgb

from services.trainer import engine
from services.trainer.domain import Capabilities, Device, Learner, Refused
from services.trainer.engine import Examples, Model, ParameterRefused
from tests.unit.trainer.examples import NAMES, QUICK, table

DATA = table()
FIT = Examples(features=DATA.features[:300], target=DATA.target[:300])
VALIDATION = Examples(features=DATA.features[306:500], target=DATA.target[306:500])
Scores = list[tuple[int, float, float]]


def parameters(learner: Learner = QUICK, threads: int = 1) -> dict[str, str]:
    return engine.parameters(learner, device=Device.CPU, threads=threads)


def train(
    learner: Learner = QUICK,
    *,
    threads: int = 1,
    fit: Examples = FIT,
    validation: Examples = VALIDATION,
) -> tuple[Model, Scores]:
    seen: Scores = []
    model = engine.train(
        fit,
        validation,
        names=NAMES,
        learner=learner,
        given=parameters(learner, threads),
        on_round=lambda *round: seen.append(round),
    )
    return model, seen


def refused(given: Mapping[str, str]) -> str:
    with pytest.raises(ParameterRefused) as caught:
        engine.check(parameters(replace(QUICK, parameters=given)), len(NAMES))
    return str(caught.value)


@pytest.mark.parametrize("name", ["max_dept", "num_boost_round", "early_stopping_rounds"])
def test_a_parameter_that_xgboost_does_not_use_is_refused(name: str) -> None:
    assert name in refused({name: "3"})


@pytest.mark.parametrize(
    ("name", "value"), [("max_depth", "deep"), ("subsample", "7"), ("max_bin", "many")]
)
def test_a_value_that_xgboost_refuses_is_refused_in_its_words(name: str, value: str) -> None:
    said = refused({name: value})
    assert value in said
    assert "\n" not in said
    assert "/workspace" not in said


@pytest.mark.parametrize("name", ["seed", "nthread", "n_jobs", "device", "eval_metric"])
def test_what_the_trainer_decides_cannot_be_a_parameter(name: str) -> None:
    assert name in refused({name: "1"})


@pytest.mark.parametrize("objective", ["reg:quantileerror", "binary:logistic", "nonsense"])
def test_other_objectives_are_refused(objective: str) -> None:
    assert objective in refused({"objective": objective})


@pytest.mark.parametrize("booster", ["dart", "gblinear"])
def test_boosters_without_honest_early_stopping_are_refused(booster: str) -> None:
    assert booster in refused({"booster": booster})


def test_an_alias_replaces_the_default_and_may_not_stand_beside_its_name() -> None:
    only_alias = parameters(replace(QUICK, parameters={"eta": "0.3"}))
    assert only_alias["learning_rate"] == "0.3"
    assert "eta" not in only_alias
    assert "learning_rate" in refused({"eta": "0.3", "learning_rate": "0.2"})


def test_the_defaults_are_those_of_the_domain() -> None:
    given = parameters(Learner())
    expected = {
        "objective": "reg:squarederror",
        "tree_method": "hist",
        "max_bin": "256",
        "learning_rate": "0.01",
        "max_depth": "4",
        "min_child_weight": "10",
        "subsample": "0.8",
        "colsample_bytree": "0.7",
        "reg_lambda": "2",
        "seed": "43",
    }
    assert expected.items() <= given.items()
    engine.check(given, len(NAMES))


def test_any_other_parameter_of_xgboost_is_taken() -> None:
    learner = replace(QUICK, parameters={"gamma": "0.1", "grow_policy": "lossguide"})
    engine.check(parameters(learner), len(NAMES))


@pytest.mark.parametrize("method", ["approx", "exact"])
def test_other_tree_methods_train(method: str) -> None:
    learner = replace(QUICK, num_boost_round=5, parameters={"tree_method": method})
    assert train(learner)[0].predict(DATA.features).size == 700


def test_the_best_iteration_is_the_true_best_and_later_trees_do_not_predict() -> None:
    model, seen = train()
    scores = [validation for _, _, validation in seen]
    assert model.best_iteration == int(np.argmin(scores))
    assert len(seen) > model.best_iteration + 1
    assert model.booster.num_boosted_rounds() == model.best_iteration + 1


def test_every_round_is_reported_and_training_stops_when_stale() -> None:
    model, seen = train()
    assert [done for done, _, _ in seen] == list(range(1, len(seen) + 1))
    assert len(seen) == model.best_iteration + 1 + QUICK.early_stopping_rounds


def test_min_boost_rounds_delays_the_stop_and_moves_no_best_iteration() -> None:
    model, seen = train(replace(QUICK, early_stopping_rounds=3))
    late, later = train(replace(QUICK, early_stopping_rounds=3, min_boost_rounds=40))
    assert len(seen) < 40 <= len(later)
    scores = [validation for _, _, validation in later]
    assert late.best_iteration == int(np.argmin(scores))
    assert scores[: len(seen)] == [validation for _, _, validation in seen]
    assert model.best_iteration <= late.best_iteration


def test_the_best_iteration_may_lie_before_min_boost_rounds() -> None:
    noise = table(signal=0.0)
    learner = replace(QUICK, min_boost_rounds=60, parameters={"learning_rate": "0.5"})
    fit = Examples(features=noise.features[:300], target=noise.target[:300])
    validation = Examples(features=noise.features[306:500], target=noise.target[306:500])
    model, seen = train(learner, fit=fit, validation=validation)
    assert len(seen) == 60
    assert model.best_iteration < 59


def test_predictions_are_those_of_the_usual_loop_bit_for_bit() -> None:
    fit = xgb.DMatrix(FIT.features, label=FIT.target)
    validation = xgb.DMatrix(VALIDATION.features, label=VALIDATION.target)
    booster = xgb.train(
        {**parameters(), "nthread": 2},
        fit,
        QUICK.num_boost_round,
        evals=[(validation, "validation")],
        early_stopping_rounds=QUICK.early_stopping_rounds,
        verbose_eval=False,
    )
    usual = booster.predict(
        xgb.DMatrix(DATA.features), iteration_range=(0, booster.best_iteration + 1)
    )
    np.testing.assert_array_equal(train()[0].predict(DATA.features), usual)


def test_the_number_of_threads_changes_no_bit() -> None:
    one, two = (train(threads=threads)[0] for threads in (1, 2))
    np.testing.assert_array_equal(one.predict(DATA.features), two.predict(DATA.features))
    assert one.as_bytes() == two.as_bytes()


def test_another_seed_gives_another_model() -> None:
    one, two = train()[0], train(replace(QUICK, seed=44))[0]
    assert not np.array_equal(one.predict(DATA.features), two.predict(DATA.features))


def test_a_stored_model_predicts_the_same_with_plain_predict() -> None:
    model, _ = train()
    read = xgb.Booster(model_file=bytearray(model.as_bytes()))
    np.testing.assert_array_equal(
        read.predict(xgb.DMatrix(DATA.features)), model.predict(DATA.features)
    )


def test_null_features_are_learned_from_as_missing() -> None:
    holes = DATA.features.copy()
    holes[::3, 1] = np.nan
    model, _ = train(fit=Examples(features=holes[:300], target=FIT.target))
    assert np.isfinite(model.predict(holes)).all()


def test_gain_is_told_by_feature_name() -> None:
    importances = train()[0].importances
    assert max(importances, key=lambda name: importances[name]) == "a"


def test_cuda_is_refused_where_it_does_not_answer() -> None:
    if engine.capabilities(None).device is Device.CUDA:
        pytest.skip("A GPU answers here.")
    with pytest.raises(Refused) as caught:
        engine.capabilities(Device.CUDA)
    assert caught.value.reason == "DEVICE_UNAVAILABLE"


def test_the_cpu_is_taken_when_asked_for_and_versions_are_told() -> None:
    found = engine.capabilities(Device.CPU)
    assert isinstance(found, Capabilities)
    assert found.device is Device.CPU
    assert found.versions["xgboost"] == xgb.__version__


def test_cuda_learns_what_the_cpu_learns() -> None:
    if engine.capabilities(None).device is Device.CPU:
        pytest.skip("This XGBoost has no CUDA, or no GPU answers.")
    given = engine.parameters(QUICK, device=Device.CUDA, threads=1)
    on_gpu = engine.train(
        FIT, VALIDATION, names=NAMES, learner=QUICK, given=given, on_round=lambda *_: None
    )
    again = engine.train(
        FIT, VALIDATION, names=NAMES, learner=QUICK, given=given, on_round=lambda *_: None
    )
    np.testing.assert_array_equal(on_gpu.predict(DATA.features), again.predict(DATA.features))
    on_cpu = train()[0].predict(DATA.features)
    assert np.corrcoef(on_gpu.predict(DATA.features), on_cpu)[0, 1] > 0.95
