"""`stage1 dataset …`: bars and indicators."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

import click
import orjson

from gateway.cli import output, progress, tables
from gateway.cli.api import Api, url_option
from gateway.cli.asking import confirm_removal
from gateway.cli.exit_codes import table as exit_codes
from gateway.cli.tables import datasets as drawing

_FORMATS: Final = ("auto", "tssb_market", "tssb_database", "csv", "parquet", "arrow")
_PART_OPTIONS: Final[dict[str, dict[str, Any]]] = {
    "format": {"type": click.Choice(_FORMATS), "help": "layout; guessed without"},
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
    "separator": {"help": "one character; guessed without"},
    "timestamp_column": {"help": "name of the time column; guessed without"},
    "rename": {"multiple": True, "metavar": "OURS=THEIRS", "help": "column; repeatable"},
    "market": {"help": "to take from a file of several"},
}
_HORIZON_DIGITS: Final = 9
_MAY_FINISH: Final = (
    "Interrupted. The server may still finish the import: `stage1 dataset list` shows it then."
)
_Command = Callable[..., None]


def _part_options(command: _Command) -> _Command:
    for part in ("indicators", "ohlcv"):
        for name, settings in reversed(_PART_OPTIONS.items()):
            flag = f"--{part}-{name.replace('_', '-')}"
            text = f"{part}: {settings['help']}."
            command = click.option(flag, **{**settings, "help": text})(command)
    return command


@click.group(epilog=exit_codes())
def dataset() -> None:
    """Bars and indicators, version by version. NAME is a slug or a UUID everywhere."""


@dataset.command("import", epilog=exit_codes())
@click.argument("slug")
@click.option(
    "--ohlcv",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    required=True,
    help="The bars; may be gzipped.",
)
@click.option(
    "--indicators",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Indicators and targets of those bars; may be gzipped.",
)
@click.option("--symbol", help="As EURUSD.  [required without --dataset-id or --manifest]")
@click.option("--granularity", help="As 1h; the interval of the bars without.")
@click.option("--source", help="Where the data came from.")
@click.option(
    "--calendar",
    type=click.Choice(["auto", "24x7", "24x5_fx", "observed"]),
    help="Which slots are expected to have a bar.",
)
@click.option(
    "--gap-policy",
    type=click.Choice(["mark", "reject"]),
    help="What to do with expected slots that have none.",
)
@click.option(
    "--timestamp-convention",
    type=click.Choice(["open", "close"]),
    help="Which end of a bar its time names.",
)
@click.option(
    "--target",
    "targets",
    multiple=True,
    metavar="NAME[:HORIZON]",
    help="A target and the bars it looks ahead; repeatable. Without: TGT*, target*.",
)
@click.option("--metadata", multiple=True, metavar="NAME=TEXT", help="Repeatable.")
@click.option(
    "--manifest",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="JSON whose figures are checked against the rows.",
)
@click.option("--dataset-id", help="Publish a new version of this dataset.")
@click.option("--idempotency-key", help="The same import again gives the same answer.")
@_part_options
@url_option
@output.option
def import_(
    slug: str,
    ohlcv: Path,
    indicators: Path | None,
    manifest: Path | None,
    targets: Sequence[str],
    metadata: Sequence[str],
    idempotency_key: str | None,
    url: str,
    show: output.Show,
    **fields: Any,
) -> None:
    """Publish files as dataset SLUG, all or nothing; the report says what was decided."""
    given = {name: value for name, value in fields.items() if value}
    if not (manifest or given.keys() & {"symbol", "dataset_id"}):
        raise click.UsageError("Missing option '--symbol': the bars do not say what they are of.")
    for name in [n for n in given if n.endswith("_rename")]:
        given[name] = _as_json(_pairs(given[name], f"--{name.replace('_', '-')}"))
    if metadata:
        given["metadata"] = _as_json(_pairs(metadata, "--metadata"))
    if targets:
        given["targets"] = _as_json([target(text) for text in targets])
    files = {"ohlcv": ohlcv, "indicators": indicators, "manifest": manifest}
    with Api(url) as api:
        with output.told_when_interrupted(_MAY_FINISH):
            done = upload(api, {"slug": slug, **given}, files, key=idempotency_key)
        manifest_of = f"/api/datasets/{done['dataset_id']}/manifest"
        drawing.report(done["report"])
        show(done, lambda _: drawing.manifest(api.get(manifest_of)))


def upload(
    api: Api, fields: dict[str, Any], files: Mapping[str, Path | None], *, key: str | None = None
) -> Any:
    """What POST /api/datasets answers."""
    there = {name: path for name, path in files.items() if path is not None}
    with ExitStack() as stack:
        total = sum(path.stat().st_size for path in there.values())
        read = stack.enter_context(progress.upload(total))
        parts = {
            name: (path.name, read(stack.enter_context(path.open("rb"))))
            for name, path in there.items()
        }
        return api.upload("/api/datasets", fields, parts, key=key)


def target(text: str) -> dict[str, Any]:
    """`NAME` or `NAME:HORIZON`."""
    name, colon, horizon = text.rpartition(":")
    if not colon:
        return {"name": text}
    if not horizon.isdecimal() or len(horizon) > _HORIZON_DIGITS:
        raise click.BadParameter(
            f"{text!r}: after the colon comes the number of bars it looks ahead.",
            param_hint="--target",
        )
    return {"name": name, "horizon_bars": int(horizon)}


def _pairs(texts: Sequence[str], option: str) -> dict[str, str]:
    return dict(pair(text, option) for text in texts)


def pair(text: str, option: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not (name and equals):
        raise click.BadParameter(f"{text!r} is not NAME=VALUE.", param_hint=option)
    return name, value


def _as_json(value: Any) -> str:
    return orjson.dumps(value).decode()


@dataset.command("list", epilog=exit_codes())
@click.option("--symbol")
@click.option("--granularity")
@click.option("--text", help="Part of slug, symbol or source.")
@click.option("--limit", type=click.IntRange(1, 1000), default=50, show_default=True)
@url_option
@output.option
def list_(url: str, show: output.Show, **filters: Any) -> None:
    """Datasets, newest first."""
    with Api(url) as api:
        found = api.get("/api/datasets", filters)
    show(found, drawing.listed)


@dataset.command("show", epilog=exit_codes())
@click.argument("name")
@click.option("--version", type=click.IntRange(min=1), help="Newest without.")
@url_option
@output.option
def show_(name: str, version: int | None, url: str, show: output.Show) -> None:
    """The manifest: rows, times, columns, gaps, hash."""
    with Api(url) as api:
        found = api.get(f"/api/datasets/{name}/manifest", {"version": version})
    show(found, drawing.manifest)


@dataset.command(epilog=exit_codes())
@click.argument("name")
@click.option("--force", is_flag=True, help="Also while runs use it.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@url_option
@output.option
def delete(name: str, force: bool, yes: bool, url: str, show: output.Show) -> None:
    """Remove a dataset with all its versions."""
    with Api(url) as api:
        path = f"/api/datasets/{name}"
        if not yes:
            confirm_removal(api, path, f"Remove dataset {name} with all its versions?")
        api.delete(path, {"force": force or None})
    show({"deleted": name}, lambda _: output.line(f"Dataset {name} is gone."))


@dataset.command(epilog=exit_codes())
@click.argument("name")
@click.option("-n", "--rows", type=click.IntRange(1, 10_000), default=10, show_default=True)
@click.option(
    "--table", type=click.Choice(["ohlcv", "indicators"]), default="ohlcv", show_default=True
)
@click.option("--columns", help="Names, separated by commas; all without.")
@click.option("--start-index", type=click.IntRange(min=0), help="First row; 0 without.")
@click.option("--version", type=click.IntRange(min=1), help="Newest without.")
@url_option
@output.option
def head(
    name: str,
    rows: int,
    table: str,
    columns: str | None,
    start_index: int | None,
    version: int | None,
    url: str,
    show: output.Show,
) -> None:
    """The first rows of a table."""
    asked = {"limit": rows, "columns": columns, "offset": start_index, "version": version}
    with Api(url) as api:
        found = api.get(f"/api/datasets/{name}/{table}", asked)
    show(found, lambda answer: tables.rows(answer["rows"]))
