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


def sentence(refusal: Any) -> str:
    """Of the JSON that a refusal is; empty when it is none of Stage1."""
    if not isinstance(refusal, dict) or "error" not in refusal:
        return ""
    fields = refusal.get("details", {}).get("fields")
    context = click.get_current_context(silent=True)
    if not (fields and context):
        return str(refusal["error"])
    return "; ".join(f"{_as_typed(one['field'], context)} {one['message']}" for one in fields) + "."


def _as_typed(field: str, context: click.Context) -> str:
    """`targets[0].name` is `--target TGT_FWD6` to who typed that. The field where there is none."""
    steps = [step for step in re.split(r"[.\[\]]+", field) if step] or [field]
    if steps[0] in _GROUPS and len(steps) > 1:
        return _as_typed(field.partition(".")[2], context)
    name = steps[0].lower().replace("-", "_")
    typed = {parameter.name: parameter for parameter in context.command.params}
    parameter = typed.get(name) or typed.get(_OPTIONS.get(name, name))
    if parameter is None:
        return field
    is_option = isinstance(parameter, click.Option)
    called = max(parameter.opts, key=len) if is_option else parameter.human_readable_name
    return f"{called} {_which(parameter, field, steps[1:], context)}".rstrip()


def _which(parameter: click.Parameter, field: str, rest: list[str], context: click.Context) -> str:
    """Of a repeatable option the one that is meant, else what within the value is."""
    values = context.params.get(parameter.name or "") if rest and rest[0].isdecimal() else None
    if isinstance(values, tuple) and int(rest[0]) < len(values):
        return str(values[int(rest[0])])
    return re.sub(r"^[^.\[]*", "", field).strip(".[]")
