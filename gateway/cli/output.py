"""What a command shows: results on standard output, notes on standard error."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, Final, Protocol

import click
import orjson
from rich import box
from rich.console import Console
from rich.table import Table

Row = Mapping[str, Any]
Column = str | tuple[str, str, Callable[[Any], str]]
"""A field, or (title, field, how to write it)."""

NOTHING: Final = "-"
_PIPE_WIDTH: Final = 200
_MOST_WRITTEN_OUT: Final = 1e12


class Show(Protocol):
    """Shows an answer in the form that was asked for."""

    def __call__(self, value: Any, *draw: Callable[[Any], None]) -> None: ...


def option(command: Callable[..., None]) -> Callable[..., None]:
    """Gives the command a parameter `show`."""
    add = click.option(
        "-o",
        "--output",
        "show",
        type=click.Choice(["table", "json"]),
        default="table",
        show_default=True,
        callback=lambda _context, _parameter, form: json_only if form == "json" else drawn,
        help="json: one document on standard output, notes on standard error.",
    )
    return add(command)


def json_only(value: Any, *draw: Callable[[Any], None]) -> None:
    click.echo(orjson.dumps(value, option=orjson.OPT_INDENT_2))


def drawn(value: Any, *draw: Callable[[Any], None]) -> None:
    for part in draw:
        part(value)


def console(*, stderr: bool = False) -> Console:
    found = Console(stderr=stderr, highlight=False, markup=False, emoji=False)
    if not found.is_terminal:
        found.width = _PIPE_WIDTH
    return found


def note(sentence: str) -> None:
    click.echo(sentence, err=True)


@contextmanager
def told_when_interrupted(sentence: str) -> Iterator[None]:
    """Ctrl-C ends the command, not what the server does: says what that is."""
    try:
        yield
    except KeyboardInterrupt:
        note(sentence)
        raise


def line(text: str = "") -> None:
    click.echo(text)


def heading(text: str) -> None:
    click.echo()
    click.secho(text, bold=True)


def table(rows: Sequence[Row], columns: Sequence[Column], *, at_least: int = 1) -> None:
    """Numbers to the right, everything else to the left.

    Columns that a narrow terminal has no room for are left out, from the right, and named;
    the first `at_least` stay, folded when they must be.
    """
    specs = [(c, c, text) if isinstance(c, str) else c for c in columns]
    cells = [[write(row.get(field)) for _, field, write in specs] for row in rows]
    screen = console()
    titles = [title for title, _, _ in specs]
    fit = max(at_least, _fitting([titles, *cells], screen.width))
    grid = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    for title, field, _ in specs[:fit]:
        numeric = any(isinstance(row.get(field), int | float) for row in rows)
        grid.add_column(title, justify="right" if numeric else "left", overflow="fold")
    for line_of_cells in cells:
        grid.add_row(*line_of_cells[:fit])
    screen.print(grid)
    if titles[fit:]:
        left_out = ", ".join(titles[fit:]) if len(titles) - fit < 8 else f"{len(titles) - fit} more"
        note(f"No room for {left_out}: a wider terminal or -o json shows them.")


def _fitting(lines: Sequence[Sequence[str]], width: int) -> int:
    """How many columns, at least one, can be shown in full."""
    taken = 2
    for i, column in enumerate(zip(*lines, strict=True)):
        taken += max(map(len, column)) + 2
        if taken > width and i:
            return i
    return len(lines[0])


def facts(pairs: Mapping[str, Any]) -> None:
    """Names and values, one a line; what there is not is left out."""
    grid = Table(box=None, show_header=False, pad_edge=False)
    grid.add_column(style="dim", no_wrap=True)
    grid.add_column(overflow="fold")
    for name, value in pairs.items():
        if value not in (None, ""):
            grid.add_row(name, text(value))
    console().print(grid)


def text(value: Any) -> str:
    if value is None or value == "":
        return NOTHING
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return number(value)
    return str(value)


def number(value: float | None, digits: int = 4) -> str:
    if value is None or math.isnan(value):
        return NOTHING
    if math.isinf(value):
        return "inf"
    written_out = 1000 <= abs(value) < _MOST_WRITTEN_OUT
    return f"{value:,.1f}" if written_out else f"{value:.{digits}g}"


def percent(value: float | None) -> str:
    """Of a fraction."""
    return NOTHING if value is None else f"{value * 100:.2f} %"


def day(timestamp_ms: int | None) -> str:
    return instant(timestamp_ms)[:10]


def instant(timestamp_ms: int | None) -> str:
    """UTC, to the minute."""
    if timestamp_ms is None:
        return NOTHING
    return datetime.fromtimestamp(timestamp_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M")
