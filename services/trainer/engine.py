"""XGBoost, and nothing else that imports it.

Runs in a worker process only: importing it costs seconds, and a fork after it hangs.
Thread count changes no bit of what comes out.
"""

from __future__ import annotations

import platform
import re
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

import numpy as np
import xgboost as xgb
from numpy.typing import NDArray

from services.shared.learner import refusals, with_defaults
from services.trainer.domain import Capabilities, Device, Floats, Learner, Refused

Matrix = NDArray[np.float32]

OnRound = Callable[[int, float, float], None]


class ParameterRefused(Refused):
    reason = "PARAMETER_REFUSED"


@dataclass(frozen=True, kw_only=True)
class Examples:
    """Rows to learn from: features by row, and targets on the scale to learn."""

    features: Matrix
    target: Floats


@dataclass(frozen=True, kw_only=True)
class Model:
    best_iteration: int
    booster: xgb.Booster  # holds only the trees that predict
    importances: Mapping[str, float]

    def predict(self, features: Matrix) -> Floats:
        raw = self.booster.predict(
            xgb.DMatrix(features), iteration_range=(0, self.best_iteration + 1)
        )
        return np.asarray(raw, dtype=np.float64)

    def as_bytes(self) -> bytes:
        """UBJSON, as XGBoost reads it."""
        return bytes(self.booster.save_raw("ubj"))


def capabilities(wanted: Device | None) -> Capabilities:
    """Raises Refused when CUDA is wanted and does not answer."""
    has_cuda = wanted is not Device.CPU and _cuda_answers()
    if wanted is Device.CUDA and not has_cuda:
        raise Refused(
            "CUDA was asked for, but this XGBoost has no CUDA or no GPU answers.",
            reason="DEVICE_UNAVAILABLE",
        )
    versions = {name: version(name) for name in ("stage1", "numpy", "scipy")}
    versions |= {"python": platform.python_version(), "xgboost": xgb.__version__}
    return Capabilities(Device.CUDA if has_cuda else Device.CPU, versions)


def parameters(learner: Learner, *, device: Device, threads: int) -> dict[str, str]:
    """The defaults, what the learner asks for over them, and what is ours to say."""
    for name, why in refusals(learner.parameters):
        raise ParameterRefused(f"XGBoost's {name} {why}.")
    return with_defaults(learner.parameters) | {
        "seed": str(learner.seed),
        "device": device.value,
        "nthread": str(threads),
        "eval_metric": "rmse",
        "verbosity": "1",  # misspelt names are only said as warnings
    }


def check(given: Mapping[str, str], columns: int) -> None:
    """Let XGBoost judge the parameters on a small table of as many columns."""
    generator = np.random.default_rng(0)
    features = generator.normal(size=(64, columns)).astype(np.float32)
    target = generator.normal(size=64)
    try:
        with _unused_is_an_error():
            fit = _matrix(features, target, given)
            xgb.train(dict(given), fit, 1, verbose_eval=False)
    except (xgb.core.XGBoostError, ValueError) as error:
        raise ParameterRefused(f"XGBoost refuses the parameters: {sentence(error)}.") from None


def train(
    fit: Examples,
    validation: Examples,
    *,
    names: Sequence[str],
    learner: Learner,
    given: Mapping[str, str],
    on_round: OnRound,
) -> Model:
    """Boost until the validation score has not improved for `early_stopping_rounds`.

    `given` comes from `parameters`. `on_round(rounds done, train rmse, validation rmse)`
    is called after every round and may raise to end it.
    """
    stopping = _Stopping(learner, on_round)
    fitted = _matrix(fit.features, fit.target, given)
    watched = xgb.DMatrix(validation.features, label=validation.target)
    with _unused_is_an_error():
        booster = xgb.train(
            dict(given),
            fitted,
            learner.num_boost_round,
            evals=[(fitted, "fit"), (watched, "validation")],
            callbacks=[stopping],
            verbose_eval=False,
        )
    booster = booster[: stopping.best_iteration + 1]
    booster.set_param({name: given[name] for name in ("nthread", "device")})
    gains = booster.get_score(importance_type="gain")
    return Model(
        best_iteration=stopping.best_iteration,
        booster=booster,
        importances={
            names[int(key[1:])]: gain for key, gain in gains.items() if isinstance(gain, float)
        },
    )


class _Stopping(xgb.callback.TrainingCallback):
    """Early stopping that keeps the true best: `min_boost_rounds` only delays the stop."""

    def __init__(self, learner: Learner, on_round: OnRound) -> None:
        super().__init__()
        self._learner = learner
        self._on_round = on_round
        self._best = float("inf")
        self.best_iteration = 0

    def after_iteration(self, model: Any, epoch: int, evals_log: Any) -> bool:
        score = evals_log["validation"]["rmse"][-1]
        if score < self._best:
            self._best, self.best_iteration = score, epoch
        self._on_round(epoch + 1, evals_log["fit"]["rmse"][-1], score)
        is_stale = epoch - self.best_iteration >= self._learner.early_stopping_rounds
        return is_stale and epoch + 1 >= self._learner.min_boost_rounds


def _matrix(features: Matrix, target: Floats, given: Mapping[str, str]) -> xgb.DMatrix:
    if given["tree_method"] == "hist":
        return xgb.QuantileDMatrix(
            features, label=target, max_bin=int(given["max_bin"]), nthread=int(given["nthread"])
        )
    return xgb.DMatrix(features, label=target, nthread=int(given["nthread"]))


@contextmanager
def _unused_is_an_error() -> Iterator[None]:
    """XGBoost only warns of misspelt names, of training arguments among the parameters and
    of a GPU that is gone. Raising in its callback would be swallowed: so afterwards.
    """
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        yield
    for warning in said:
        if re.search("are not used|Device is changed", str(warning.message)):
            raise ValueError(str(warning.message))


def sentence(error: Exception) -> str:
    """Its words without time, source line and stack."""
    said = str(error).partition("Stack trace:")[0]
    said = re.sub(r"\[\d\d:\d\d:\d\d\] (WARNING: )?\S+:\d+: ", "", said)
    return " ".join(said.split()).rstrip(".")


def _cuda_answers() -> bool:
    if not xgb.build_info()["USE_CUDA"]:
        return False
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        try:
            tiny = xgb.DMatrix(np.zeros((2, 1), np.float32), label=np.zeros(2))
            xgb.train({"device": "cuda", "verbosity": "1"}, tiny, 1)
        except xgb.core.XGBoostError:
            return False
    # Without a GPU it falls back to the CPU and says so.
    return not any("GPU" in str(warning.message) for warning in said)
