"""What XGBoost is told unless a run says otherwise, and what a run may say.

`runs` promises at plan time what `trainer` does later: both ask here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Final

OBJECTIVE: Final = "reg:squarederror"
DEFAULTS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "learning_rate": "0.01",
        "max_depth": "4",
        "min_child_weight": "10",
        "subsample": "0.8",
        "colsample_bytree": "0.7",
        "reg_lambda": "2",
        "tree_method": "hist",
        "max_bin": "256",
        "objective": OBJECTIVE,
    }
)
BOUNDS: Final[Mapping[str, tuple[int, int]]] = MappingProxyType(
    {
        "num_boost_round": (1, 100_000),
        "early_stopping_rounds": (1, 100_000),
        "min_boost_rounds": (0, 100_000),
        "seed": (0, 2**31 - 1),
    }
)
TANH_K_BOUNDS: Final = (1e-6, 100.0)
_ALIASES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "eta": "learning_rate",
        "lambda": "reg_lambda",
        "alpha": "reg_alpha",
        "gamma": "min_split_loss",
    }
)
# They would undo what a run records of itself, or the trainer needs them as they are.
_DECIDED_BY: Final[Mapping[str, str]] = MappingProxyType(
    {
        "seed": "learner.seed",
        "random_state": "learner.seed",
        "device": "device",
        "nthread": "the trainer's settings",
        "n_jobs": "the trainer's settings",
        "verbosity": "the trainer",
        "validate_parameters": "the trainer",
        "eval_metric": "the objective",
        "disable_default_eval_metric": "the objective",
    }
)
_ONLY: Final[Mapping[str, str]] = MappingProxyType({"objective": OBJECTIVE, "booster": "gbtree"})


def with_defaults(asked: Mapping[str, str]) -> dict[str, str]:
    """Under one name each, with every default filled in."""
    return {**DEFAULTS, **{_ALIASES.get(name, name): value for name, value in asked.items()}}


def refusals(asked: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Parameters that no trainer takes, each with why; XGBoost itself judges the others."""
    for name in sorted(asked.keys() & _DECIDED_BY.keys()):
        yield name, f"is decided by {_DECIDED_BY[name]}"
    for name, only in _ONLY.items():
        if asked.get(name, only) != only:
            yield name, f"is {asked[name]!r}, and only {only} is built"
    for alias, name in _ALIASES.items():
        if {alias, name} <= asked.keys():
            yield alias, f"is {name} by another name: give one of them"
