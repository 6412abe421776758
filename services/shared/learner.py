"""What XGBoost is told unless a run says otherwise; `runs` and `trainer` must agree on it."""

from __future__ import annotations

from collections.abc import Mapping
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
_ALIASES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "eta": "learning_rate",
        "lambda": "reg_lambda",
        "alpha": "reg_alpha",
        "gamma": "min_split_loss",
    }
)


def with_defaults(asked: Mapping[str, str]) -> dict[str, str]:
    """Under one name each, with every default filled in."""
    return {**DEFAULTS, **{_ALIASES.get(name, name): value for name, value in asked.items()}}


def said_twice(asked: Mapping[str, str]) -> list[tuple[str, str]]:
    """Pairs of names that were both given and mean the same."""
    return [(alias, name) for alias, name in _ALIASES.items() if {alias, name} <= asked.keys()]
