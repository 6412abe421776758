"""What `runs` is told at plan time must be what the trainer does later."""

from __future__ import annotations

from dataclasses import replace

import pytest

from services.shared.errors import InvalidRequest
from services.shared.learner import BOUNDS, TANH_K_BOUNDS, refusals
from services.trainer import convert, engine
from services.trainer.domain import Device
from services.trainer.engine import ParameterRefused
from tests.unit.trainer.examples import QUICK
from tests.unit.trainer.requests import request

REFUSED = {
    "seed": "1",
    "random_state": "1",
    "device": "cpu",
    "nthread": "1",
    "n_jobs": "1",
    "verbosity": "0",
    "validate_parameters": "0",
    "eval_metric": "mae",
    "disable_default_eval_metric": "1",
    "objective": "reg:quantileerror",
    "booster": "dart",
}


@pytest.mark.parametrize(("name", "value"), REFUSED.items())
def test_what_the_trainer_refuses_can_be_known_before(name: str, value: str) -> None:
    asked = {name: value}
    assert [refused for refused, _ in refusals(asked)] == [name]
    with pytest.raises(ParameterRefused, match=f"XGBoost's {name} is"):
        engine.parameters(replace(QUICK, parameters=asked), device=Device.CPU, threads=1)


def test_two_names_of_one_parameter_are_refused_before() -> None:
    (refused,) = refusals({"eta": "0.1", "learning_rate": "0.1", "booster": "gbtree"})
    assert refused == ("eta", "is learning_rate by another name: give one of them")


@pytest.mark.parametrize(("field", "bounds"), [*BOUNDS.items(), ("tanh_k", TANH_K_BOUNDS)])
def test_a_trainer_takes_both_bounds_of_a_number_and_nothing_beyond(
    field: str, bounds: tuple[float, float]
) -> None:
    asked = request()
    for value in bounds:
        setattr(asked.learner, field, value)
        assert getattr(convert.job(asked).recipe.learner, field) == value
    step = 1 if field in BOUNDS else 1e-9
    for value in (bounds[0] - step, bounds[1] + step):
        setattr(asked.learner, field, value)
        with pytest.raises(InvalidRequest, match=rf"learner\.{field}"):
            convert.job(asked)
