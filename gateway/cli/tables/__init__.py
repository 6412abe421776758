"""Datasets, runs and simulations as people read them on a terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from gateway.cli import output
from gateway.cli.output import Column, text

Record = Mapping[str, Any]


def rest(found: Record) -> None:
    if found["next_page_token"]:
        output.note("There are more: --limit gives more of them.")


def warnings(found: Record) -> None:
    for sentence in found["warnings"]:
        output.note(f"warning: {sentence}")


def errors(found: Sequence[Record], name: str) -> None:
    """In full under their table: as a column they would leave no room for the others."""
    output.facts({one[name]: one["error"] for one in found})


def rows(found: Sequence[Record], first: Sequence[str] = ()) -> None:
    """Of a table of the store, with every digit; times are for people.

    The columns named in `first` come first.
    """
    if not found:
        output.note("There are no rows.")
        return
    names = [*(n for n in first if n in found[0]), *(n for n in found[0] if n not in first)]
    columns: list[Column] = [_column(name) for name in names]
    output.table(found, columns)


def _column(name: str) -> Column:
    if name.endswith(("timestamp_ms", "_ts_ms", "_time")):
        return (f"{name.removesuffix('_ms')} (UTC)", name, _moment)
    return (name, name, _exact)


def _moment(value: Any) -> str:
    if isinstance(value, int):
        return output.instant(value)
    return text(value)[:16].replace("T", " ")


def _exact(value: Any) -> str:
    return f"{value:.10g}" if isinstance(value, float) else text(value)
