"""Files that are sent, and the options that say how to read them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

import click
import orjson

from gateway.cli import progress
from gateway.cli.api import Api

FORMATS: Final = (
    *("auto", "tssb_market", "tssb_database", "csv", "parquet", "arrow"),
    *("binance_klines", "kraken_ohlcvt", "metatrader", "histdata"),
)
_TABS: Final = {"tab": "\t", r"\t": "\t"}
PART_OPTIONS: Final[dict[str, dict[str, Any]]] = {
    "format": {"type": click.Choice(FORMATS), "help": "layout; guessed without"},
    "zone": {"help": "IANA time zone of its times; UTC without"},
    "unit": {"type": click.Choice(["auto", "s", "ms", "us", "ns"]), "help": "of numeric times"},
    "date_order": {
        "type": click.Choice(["auto", "day_first", "month_first"]),
        "help": "of dates that can be read both ways",
    },
    "time_layout": {
        "type": click.Choice(["auto", "hhmm", "hhmmss"]),
        "help": "of numeric times of day",
    },
    "separator": {
        "callback": lambda _context, _option, text: _TABS.get(text, text),
        "help": "one character, or tab; guessed without",
    },
    "decimal": {
        "type": click.Choice([".", ","]),
        "help": "what parts whole from fraction; guessed without",
    },
    "timestamp_column": {"help": "name of the time column; guessed without"},
    "rename": {"multiple": True, "metavar": "OURS=THEIRS", "help": "column; repeatable"},
    "text_columns": {
        "multiple": True,
        "metavar": "NAME",
        "help": "column kept as text though it holds numbers; repeatable",
    },
    "market": {"help": "to take from a file of several"},
    "member": {"help": "file to take from a zip archive of several"},
}
CALENDAR_HELP: Final = (
    "Which slots are expected to have a bar: 24x7, 24x5_fx, observed, auto, or the code of an "
    "exchange as XNYS."
)
_HORIZON_DIGITS: Final = 9
_Command = Callable[..., None]

FILE: Final = click.Path(exists=True, dir_okay=False, path_type=Path)
key_option = click.option("--idempotency-key", help="The same again gives the same answer.")
gap_policy_option = click.option(
    "--gap-policy",
    type=click.Choice(["mark", "reject"]),
    help="What to do with expected slots that have none.",
)
convention_option = click.option(
    "--timestamp-convention",
    type=click.Choice(["open", "close"]),
    help="Which end of a bar its time names.",
)


def part_options(*tables: str) -> Callable[[_Command], _Command]:
    """An option each for every table; of one file alone without its name."""

    def add(command: _Command) -> _Command:
        for table in reversed(tables or ("",)):
            for name, settings in reversed(PART_OPTIONS.items()):
                flag = f"--{f'{table}_{name}'.strip('_').replace('_', '-')}"
                text = f"{table}: {settings['help']}." if table else f"{settings['help']}."
                command = click.option(flag, **{**settings, "help": text})(command)
        return command

    return add


def form_fields(
    options: Mapping[str, Any], *, metadata: Sequence[str] = (), targets: Sequence[str] = ()
) -> dict[str, Any]:
    """What was given on the command line as the fields of a form."""
    given = {name: value for name, value in options.items() if value}
    for name in [n for n in given if n.endswith("rename")]:
        given[name] = as_json(pairs(given[name], f"--{name.replace('_', '-')}"))
    for name in [n for n in given if n.endswith("text_columns")]:
        given[name] = as_json(given[name])
    if metadata:
        given["metadata"] = as_json(pairs(metadata, "--metadata"))
    if targets:
        given["targets"] = as_json([target(text) for text in targets])
    return given


def upload(
    api: Api,
    path: str,
    fields: Mapping[str, Any],
    files: Mapping[str, Path | None],
    *,
    key: str | None = None,
    then: str = "Importing",
) -> Any:
    """What the path answers. `then`: what the server is at after the last byte."""
    with ExitStack() as stack:
        parts = opened(stack, files, then)
        return api.upload(path, fields, parts, key=key)


def opened(stack: ExitStack, files: Mapping[str, Path | None], then: str) -> dict[str, Any]:
    """Those that are given, as httpx takes them; they tell how far they are sent."""
    there = {name: path for name, path in files.items() if path is not None}
    total = sum(path.stat().st_size for path in there.values())
    read = stack.enter_context(progress.upload(total, then))
    return {
        name: (path.name, read(stack.enter_context(path.open("rb"))))
        for name, path in there.items()
    }


def target(text: str) -> dict[str, Any]:
    """`NAME` or `NAME:HORIZON`."""
    name, colon, horizon = text.rpartition(":")
    if not colon:
        return {"name": text}
    if not horizon.isdecimal() or len(horizon) > _HORIZON_DIGITS or not int(horizon):
        raise click.BadParameter(
            f"{text!r}: after the colon comes the number of bars it looks ahead, at least 1.",
            param_hint="--target",
        )
    return {"name": name, "horizon_bars": int(horizon)}


def pairs(texts: Sequence[str], option: str) -> dict[str, str]:
    return dict(pair(text, option) for text in texts)


def pair(text: str, option: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not (name and equals):
        raise click.BadParameter(f"{text!r} is not NAME=VALUE.", param_hint=option)
    return name, value


def as_json(value: Any) -> str:
    return orjson.dumps(value).decode()
