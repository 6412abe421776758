"""Whether what is stored is what was published; made for cron: silent codes, distinct ones."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Any

import click

from gateway.cli import output, progress, refusals
from gateway.cli.api import Api, url_option
from gateway.cli.events import parse
from gateway.cli.exit_codes import ExitCode
from gateway.cli.exit_codes import table as exit_codes
from gateway.cli.failure import Failure
from gateway.cli.tables import checks as drawing
from gateway.cli.uploads import FILE, form_fields, opened, part_options


@click.command(epilog=exit_codes())
@click.argument("name")
@click.option("--version", type=click.IntRange(min=1), help="Newest without.")
@click.option("--ohlcv", type=FILE, help="The file its bars were made from.")
@click.option("--indicators", type=FILE, help="The file its indicators were made from.")
@click.option(
    "--sample",
    type=click.IntRange(min=1),
    help="Compare so many rows with the files, spread evenly; all without.",
)
@click.option(
    "--partial", is_flag=True, help="The files may begin later and end earlier than the version."
)
@part_options("ohlcv", "indicators")
@url_option
@output.option
def verify(
    name: str,
    version: int | None,
    ohlcv: Path | None,
    indicators: Path | None,
    sample: int | None,
    partial: bool,
    url: str,
    show: output.Show,
    **options: Any,
) -> None:
    """Read a version back whole and hold it against its manifest, and against its files."""
    params = {"version": version, "sample_rows": sample, "partial": partial or None}
    files = {"ohlcv": ohlcv, "indicators": indicators}
    if (sample or partial) and not (ohlcv or indicators):
        option = "--sample" if sample else "--partial"
        raise click.UsageError(f"'{option}' is about files: give '--ohlcv' or '--indicators'.")
    with Api(url) as api, ExitStack() as stack:
        found = _report(
            api,
            f"/api/datasets/{name}/verify",
            params=params,
            data=form_fields(options),
            files=opened(stack, files, "Reading"),
        )
    show(found, drawing.report)
    _refuse_findings(found)


def _report(api: Api, path: str, **request: Any) -> Any:
    """The last of the events; the others move a bar."""
    with progress.bar() as bar, api.reported(path, **request) as response:
        task = bar.add_task("Verifying", total=None)
        for event in parse(response.iter_lines()):
            if event is None:
                continue
            if event.kind == "report":
                return event.data
            if event.kind == "refused":
                raise Failure(refusals.sentence(event.data), ExitCode.INTERNAL)
            if event.kind == "progress":
                bar.update(task, completed=event.data["rows"], total=event.data["total_rows"])
    raise Failure("The verification ended without a report.", ExitCode.UNAVAILABLE)


@click.command(epilog=exit_codes())
@url_option
@output.option
def fsck(url: str, show: output.Show) -> None:
    """Hold catalogue and series store against each other.

    Finds tables that are missing, that nobody needs, or that have other row counts.
    """
    with Api(url) as api:
        found = api.get("/api/store/check", is_long=True)
    show(found, drawing.store)
    _refuse_findings(found)


def _refuse_findings(found: Any) -> None:
    if not found["is_sound"]:
        count = len(found["findings"])
        things = "1 thing is not as it" if count == 1 else f"{count} things are not as they"
        raise Failure(f"{things} should be.", ExitCode.FINDINGS)
