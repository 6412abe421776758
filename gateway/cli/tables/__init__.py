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


def rows(found: Sequence[Record]) -> None:
    """Of a table of the store, as they are; times are for people."""
    if not found:
        output.note("There are no rows.")
        return
    columns: list[Column] = [_column(name) for name in found[0]]
    output.table(found, columns)


def _column(name: str) -> Column:
    if name == "timestamp_ms":
        return ("time (UTC)", name, output.instant)
    return (name, name, text)
