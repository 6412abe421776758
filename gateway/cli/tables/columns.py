"""Columns on a terminal."""

from __future__ import annotations

from typing import Any, Final

from gateway.cli import output
from gateway.cli.output import Column, number, text
from gateway.cli.tables import Record

_FIGURES: Final = ("min", "mean", "max", "std")
_NAMED: Final[list[Column]] = [
    "name",
    "role",
    "table",
    "type",
    ("nulls", "null_count", text),
    ("horizon", "horizon_bars", text),
]


def listed(found: Record) -> None:
    output.table(found["columns"], _NAMED)


def described(found: Record) -> None:
    figures: list[Column] = [(name, name, _figure) for name in _FIGURES]
    rows = [
        {**column, **{name: column["statistics"][name] for name in _FIGURES}}
        for column in found["columns"]
    ]
    output.table(rows, [*_NAMED, *figures])


def _figure(value: Any) -> str:
    return number(value)
