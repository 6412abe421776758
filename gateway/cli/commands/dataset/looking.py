"""What is there."""

from __future__ import annotations

from typing import Any, Final

import click

from gateway.cli import output, refusals, tables
from gateway.cli.api import Api, url_option
from gateway.cli.commands.dataset.importing import import_
from gateway.cli.exit_codes import table as exit_codes
from gateway.cli.tables import Record, publishing
from gateway.cli.tables import columns as column_drawing
from gateway.cli.tables import datasets as drawing

_STATES: Final = (
    *("RECEIVED", "SPOOLED", "LOADING", "VERIFIED", "MERGING"),
    *("PUBLISHED", "REJECTED", "ABANDONED"),
)
_version_option = click.option("--version", type=click.IntRange(min=1), help="Newest without.")
_columns_option = click.option(
    "--columns", multiple=True, help="Names, separated by commas, or repeated; all without."
)
_limit_option = click.option("--limit", type=click.IntRange(1, 1000), default=50, show_default=True)


@click.command("list", epilog=exit_codes())
@click.option("--symbol")
@click.option("--granularity")
@click.option("--text", help="Part of slug, symbol or source.")
@_limit_option
@url_option
@output.option
def list_(url: str, show: output.Show, **filters: Any) -> None:
    """Datasets, newest first."""
    with Api(url) as api:
        found = api.get("/api/datasets", filters)
    show(found, drawing.listed)


@click.command("show", epilog=exit_codes())
@click.argument("name")
@_version_option
@url_option
@output.option
def show_(name: str, version: int | None, url: str, show: output.Show) -> None:
    """What is said of a dataset now, and a version's rows, times, columns, gaps and hash."""
    with Api(url) as api:
        dataset = api.get(f"/api/datasets/{name}")
        manifest = dataset.pop("manifest")
        if version and version != manifest["version"]:
            path = f"/api/datasets/{dataset['dataset_id']}/manifest"
            manifest = api.get(path, {"version": version})
    show({**manifest, "dataset": dataset}, drawing.shown)


@click.command(epilog=exit_codes())
@click.argument("name")
@click.option("-n", "--rows", type=click.IntRange(1, 10_000), default=10, show_default=True)
@click.option(
    "--table", type=click.Choice(["ohlcv", "indicators"]), default="ohlcv", show_default=True
)
@_columns_option
@click.option("--start-index", type=click.IntRange(min=0), help="First row; 0 without.")
@click.option("--last", is_flag=True, help="The last rows, the last one first.")
@_version_option
@url_option
@output.option
def head(
    name: str,
    rows: int,
    table: str,
    columns: tuple[str, ...],
    start_index: int | None,
    last: bool,
    version: int | None,
    url: str,
    show: output.Show,
) -> None:
    """The first or last rows of a table."""
    if last and start_index is not None:
        raise click.UsageError("'--last' and '--start-index' exclude each other.")
    asked = {
        "limit": rows,
        "columns": columns,
        "offset": start_index,
        "version": version,
        "desc": last or None,
    }
    with Api(url) as api:
        found = api.get(f"/api/datasets/{name}/{table}", asked)
    show(found, lambda answer: tables.rows(answer["rows"]))


@click.command(epilog=exit_codes())
@click.argument("name")
@click.option("--table", type=click.Choice(["ohlcv", "indicators"]), help="Both without.")
@_columns_option
@click.option(
    "--statistics/--no-statistics",
    default=True,
    help="Without, nothing is read.  [default: statistics]",
)
@_version_option
@url_option
@output.option
def columns(name: str, statistics: bool, url: str, show: output.Show, **asked: Any) -> None:
    """Columns of a version, and what stands in them."""
    with Api(url) as api:
        found = api.get(
            f"/api/datasets/{name}/columns",
            {**asked, "statistics": statistics},
            is_long=True,
        )
    show(found, column_drawing.described if statistics else column_drawing.listed)


@click.command(epilog=exit_codes())
@click.argument("name")
@_version_option
@url_option
@output.option
def gaps(name: str, version: int | None, url: str, show: output.Show) -> None:
    """Expected slots without a bar, all of them."""
    with Api(url) as api:
        found = api.get(f"/api/datasets/{name}/gaps", {"version": version})
    show(found, drawing.gaps)


@click.command(epilog=exit_codes())
@click.argument("name")
@_limit_option
@url_option
@output.option
def versions(name: str, limit: int, url: str, show: output.Show) -> None:
    """Published versions, newest first."""
    with Api(url) as api:
        found = api.get(f"/api/datasets/{name}/versions", {"limit": limit})
    show(found, drawing.versions)


@click.command(epilog=exit_codes())
@click.argument("import_id", required=False)
@click.option("--slug", help="Of this dataset.")
@click.option("--status", type=click.Choice(_STATES), help="In this state.")
@_limit_option
@url_option
@output.option
def imports(import_id: str | None, url: str, show: output.Show, **filters: Any) -> None:
    """Imports and appends, newest first, and what became of them; or one by its id."""
    with Api(url) as api:
        if import_id:
            one = api.get(f"/api/imports/{import_id}")
            show(one, lambda shown: publishing.import_(_in_options(shown)))
            return
        found = api.get("/api/imports", filters)
    show(
        found,
        lambda listed: publishing.imports(
            {**listed, "imports": [_in_options(one) for one in listed["imports"]]}
        ),
    )


def _in_options(attempt: Record) -> Record:
    return {**attempt, "error": refusals.recorded(attempt.get("error") or "", import_)}
