"""Refusals in the words of the command line: its options instead of the fields of requests."""

from __future__ import annotations

import re
from typing import Any, Final

import click

_GROUPS: Final = ("walk_config", "settings", "signal_rules")
"""Objects of a request whose fields are options each."""
_OPTIONS: Final = {
    "dataset": "name",
    "desc": "last",
    "hyperparameters": "parameters",
    "limit": "rows",
    "offset": "start_index",
    "removed_metadata": "remove_metadata",
    "run_id": "run_name",
    "sample_rows": "sample",
    "simulation_id": "name",
}
"""Fields whose option has another name; all others are called as theirs."""

_UNTYPED: Final = {
    "columns": ("file", "The columns of FILE"),
    "indicators_columns": ("indicators", "The columns of --indicators"),
    "ohlcv_columns": ("ohlcv", "The columns of --ohlcv"),
    "walk_config": ("train_size", "The plan"),
}
"""Fields that no option is, in commands with this parameter."""
_SINGULAR: Final = {
    "are": "is",
    "contain": "contains",
    "have": "has",
    "name": "names",
    "need": "needs",
}
"""Fields are of many, options of one each."""
_THRESHOLDS: Final = ("OWN", "PERCENTILE", "OPTIMAL", "ZERO")
_WORD: Final = re.compile(r"(?<![\w'\"./-])[A-Za-z][A-Za-z_]+(?![\w'\"])")
_RECORDED: Final = re.compile(r"(?:^|(?<=; ))((?:header\.|ohlcv\b|indicators\b)[\w.\[\]]*) ([^;]*)")
_STORED: Final = (
    (re.compile(r"^header\."), ""),
    (re.compile(r"^parts\[0\]"), "ohlcv"),
    (re.compile(r"^parts\[1\]"), "indicators"),
    (re.compile(r"^expected\b"), "manifest"),
    (re.compile(r"^targets\b.*"), "targets"),
    (re.compile(r"^(ohlcv|indicators)\."), r"\1_"),
)


def sentence(refusal: Any) -> str:
    """Of the JSON that a refusal is; empty when it is none of Stage1."""
    if not isinstance(refusal, dict) or "error" not in refusal:
        return ""
    fields = refusal.get("details", {}).get("fields")
    context = click.get_current_context(silent=True)
    if context is None:
        return str(refusal["error"])
    if not fields:
        return _in_options(str(refusal["error"]), context)
    told = [_clause(one["field"], one["message"], context) for one in fields]
    return "; ".join([told[0], *(re.sub(r"^The\b", "the", one) for one in told[1:])]) + "."


def recorded(error: str, command: click.Command) -> str:
    """What is kept of a refused attempt, which names fields of services, as of that command."""
    context = click.Context(command)
    return _RECORDED.sub(lambda found: _clause(_asked(found[1]), found[2], context), error)


def _asked(stored: str) -> str:
    for theirs, ours in _STORED:
        stored = theirs.sub(ours, stored)
    return stored


def _clause(field: str, message: str, context: click.Context) -> str:
    called = _as_typed(field, context)
    told = _in_options(message, context)
    if called != field and not called.startswith("The columns"):
        verb, space, rest = told.partition(" ")
        told = f"{_SINGULAR.get(verb, verb)}{space}{rest}"
    repeated = re.match(r"is '([^']+)', which ", told)
    if repeated and repeated[1] in called:
        told = told[repeated.end() :]
    return f"{called} {told}"


def _in_options(message: str, context: click.Context) -> str:
    """`dataset_id` is `--dataset-id`, where the command has that; what is quoted stays."""
    options = {p.name: _called(p) for p in context.command.params if isinstance(p, click.Option)}
    words = {name: called for name, called in options.items() if name and "_" in name}
    if "threshold" in options:
        words |= {word: word.lower() for word in _THRESHOLDS}
    return _WORD.sub(lambda found: words.get(found[0], found[0]), message)


def _as_typed(field: str, context: click.Context) -> str:
    """`targets[0].name` is `--target TGT_FWD6` to who typed that. The field where there is none."""
    steps = [step for step in re.split(r"[.\[\]]+", field) if step] or [field]
    if steps[0] in _GROUPS and len(steps) > 1:
        return _as_typed(field.partition(".")[2], context)
    name = steps[0].lower().replace("-", "_")
    typed = {parameter.name: parameter for parameter in context.command.params}
    parameter = typed.get(name) or typed.get(_OPTIONS.get(name, name))
    if parameter is None:
        beside, called = _UNTYPED.get(field, ("", ""))
        return called if beside in typed else field
    return f"{_called(parameter)} {_which(parameter, field, steps[1:], context)}".rstrip()


def _called(parameter: click.Parameter) -> str:
    is_option = isinstance(parameter, click.Option)
    return max(parameter.opts, key=len) if is_option else parameter.human_readable_name


def _which(parameter: click.Parameter, field: str, rest: list[str], context: click.Context) -> str:
    """Of a repeatable option the one that is meant, else what within the value is."""
    values = context.params.get(parameter.name or "") if rest and rest[0].isdecimal() else None
    if isinstance(values, tuple) and int(rest[0]) < len(values):
        return str(values[int(rest[0])])
    return re.sub(r"^[^.\[]*", "", field).strip(".[]")
