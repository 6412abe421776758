"""What goes in: a look at a file, imports, appends, and tables that are in the store."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import click

from gateway.cli import output
from gateway.cli.api import Api, url_option
from gateway.cli.exit_codes import table as exit_codes
from gateway.cli.tables import datasets as drawing
from gateway.cli.tables import publishing
from gateway.cli.uploads import (
    CALENDAR_HELP,
    FILE,
    convention_option,
    form_fields,
    gap_policy_option,
    key_option,
    pairs,
    part_options,
    target,
    upload,
)

_MAY_FINISH: Final = (
    "Interrupted. The server may still finish it: `stage1 dataset imports` shows what became of it."
)
_Command = Callable[..., None]


def _told_options(command: _Command) -> _Command:
    """What files do not say of themselves."""
    options = [
        click.option(
            "--granularity", help="How far bars are apart, as 1h; their interval without."
        ),
        click.option("--source", help="Where the data came from."),
        click.option("--calendar", help=CALENDAR_HELP),
        gap_policy_option,
        convention_option,
        click.option(
            "--target",
            "targets",
            multiple=True,
            metavar="NAME[:HORIZON]",
            help="A target and the bars it looks ahead; repeatable. Without: TGT*, target*.",
        ),
        click.option("--metadata", multiple=True, metavar="NAME=TEXT", help="Repeatable."),
        click.option("--dataset-id", help="UUID or slug: publish a new version of this dataset."),
        key_option,
    ]
    for option in reversed(options):
        command = option(command)
    return command


@click.command(epilog=exit_codes())
@click.argument("file", type=FILE)
@click.option(
    "--table",
    type=click.Choice(["ohlcv", "indicators"]),
    default="ohlcv",
    show_default=True,
    help="What the file holds.",
)
@click.option("--calendar", help=CALENDAR_HELP)
@convention_option
@part_options()
@url_option
@output.option
def sniff(file: Path, url: str, show: output.Show, **options: Any) -> None:
    """What an import would make of FILE, and why; nothing is kept."""
    with Api(url) as api:
        fields = form_fields(options)
        path = "/api/datasets/sniff"
        found = upload(api, path, fields, {"file": file}, then="Reading")
    show(found, publishing.sniffed)


@click.command("import", epilog=exit_codes())
@click.argument("slug")
@click.option("--ohlcv", type=FILE, required=True, help="The bars; may be packed by gzip or zip.")
@click.option("--indicators", type=FILE, help="Indicators and targets of those bars; likewise.")
@click.option("--symbol", help="As EURUSD.  [required without --dataset-id or --manifest]")
@click.option("--manifest", type=FILE, help="JSON whose figures are checked against the rows.")
@_told_options
@part_options("ohlcv", "indicators")
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
    **options: Any,
) -> None:
    """Publish files as dataset SLUG, all or nothing; the report says what was decided."""
    fields = {"slug": slug, **form_fields(options, metadata=metadata, targets=targets)}
    if not (manifest or fields.keys() & {"symbol", "dataset_id"}):
        raise click.UsageError("Missing option '--symbol': the bars do not say what they are of.")
    files = {"ohlcv": ohlcv, "indicators": indicators, "manifest": manifest}
    with Api(url) as api:
        with output.told_when_interrupted(_MAY_FINISH):
            done = upload(api, "/api/datasets", fields, files, key=idempotency_key)
        _published(api, done, show)


@click.command(epilog=exit_codes())
@click.argument("name")
@click.option("--ohlcv", type=FILE, help="New bars; may begin with some that are there.")
@click.option("--indicators", type=FILE, help="Indicators and targets of those bars; likewise.")
@gap_policy_option
@click.option(
    "--expected-version", type=click.IntRange(min=1), help="Refuse when another is the newest."
)
@key_option
@part_options("ohlcv", "indicators")
@url_option
@output.option
def append(
    name: str,
    ohlcv: Path | None,
    indicators: Path | None,
    idempotency_key: str | None,
    url: str,
    show: output.Show,
    **options: Any,
) -> None:
    """Add rows to the end of dataset NAME as its next version.

    Rows it has already may come again with the same values; other values are refused.
    """
    if not (ohlcv or indicators):
        raise click.UsageError("Missing option '--ohlcv' or '--indicators'.")
    files = {"ohlcv": ohlcv, "indicators": indicators}
    with Api(url) as api, output.told_when_interrupted(_MAY_FINISH):
        done = upload(
            api,
            f"/api/datasets/{name}/append",
            form_fields(options),
            files,
            key=idempotency_key,
            then="Appending",
        )
    drawing.report(done["report"])
    show(done, publishing.appended)


@click.command(epilog=exit_codes())
@click.option("--slug", required=True, help="Of the dataset that is made.")
@click.option("--ohlcv-measurement", required=True, help="Series table of the bars.")
@click.option("--indicator-measurement", help="Series table of the indicators.")
@click.option("--symbol", help="As EURUSD.  [required without --dataset-id]")
@_told_options
@url_option
@output.option
def adopt(
    targets: Sequence[str],
    metadata: Sequence[str],
    idempotency_key: str | None,
    url: str,
    show: output.Show,
    **options: Any,
) -> None:
    """Make a dataset of tables that are in the series store already.

    They are judged like an import, and copied, not taken.
    """
    body = {name: value for name, value in options.items() if value}
    if not body.keys() & {"symbol", "dataset_id"}:
        raise click.UsageError("Missing option '--symbol': the bars do not say what they are of.")
    if metadata:
        body["metadata"] = pairs(metadata, "--metadata")
    if targets:
        body["targets"] = [target(text) for text in targets]
    with Api(url) as api:
        with output.told_when_interrupted(_MAY_FINISH):
            done = api.post("/api/datasets", body, key=idempotency_key, is_long=True)
        _published(api, done, show)


def _published(api: Api, done: Any, show: output.Show) -> None:
    manifest_of = f"/api/datasets/{done['dataset_id']}/manifest"
    drawing.report(done["report"])
    show(done, lambda _: drawing.manifest(api.get(manifest_of)))
