"""Predictions, trades and equity: on a terminal the first rows, elsewhere all of them as CSV."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final, Literal

import click
import httpx
import polars as pl

from gateway.cli import output, progress, tables
from gateway.cli.api import Api, Params

Form = Literal["table", "csv", "json"]
_FIRST_ROWS: Final = 20


def options(command: Callable[..., None]) -> Callable[..., None]:
    """Gives the command parameters `form` and `into`."""
    form = click.option(
        "-o",
        "--output",
        "form",
        type=click.Choice(["table", "csv", "json"]),
        help=f"table: the first {_FIRST_ROWS} rows, for people.  "
        "[default: table on a terminal, else csv]",
    )
    into = click.option(
        "--into",
        type=click.Path(dir_okay=False, path_type=Path),
        help="Write to this file instead of standard output.",
    )
    return form(into(command))


def rows(
    api: Api,
    path: str,
    *,
    form: Form | None,
    into: Path | None,
    params: Params | None = None,
    first: Sequence[str] = (),
) -> None:
    """`first`: the columns a table begins with."""
    if form is None:
        form = "table" if into is None and sys.stdout.isatty() else "csv"
    if form == "table":
        return _table(api, path, params, first)
    asked = {**(params or {}), "format": form}
    with api.streamed(path, asked) as response:
        if into is None:
            return _copy(response, sys.stdout.buffer)
        with into.open("wb") as file, progress.bar() as bar:
            bar.add_task(f"Writing {into}", total=None)
            return _copy(response, file)


def _table(api: Api, path: str, params: Params | None, first: Sequence[str]) -> None:
    with api.streamed(path, {**(params or {}), "format": "csv"}) as response:
        lines = response.iter_lines()
        head = [line for line, _ in zip(lines, range(_FIRST_ROWS + 1), strict=False)]
        more = next(lines, None) is not None
    tables.rows(pl.read_csv("\n".join(head).encode()).to_dicts(), first)
    if more:
        output.note("There are more rows: -o csv gives all of them.")


def _copy(response: httpx.Response, file: Any) -> None:
    for piece in response.iter_bytes():
        file.write(piece)
    file.flush()
