"""What is said of a dataset, and its removal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import click

from gateway.cli import output
from gateway.cli.api import Api, url_option
from gateway.cli.asking import confirm_removal
from gateway.cli.exit_codes import table as exit_codes
from gateway.cli.tables import datasets as drawing
from gateway.cli.uploads import pairs


@click.command(epilog=exit_codes())
@click.argument("name")
@click.option("--symbol")
@click.option("--granularity", help="As the bars are apart, except under the calendar observed.")
@click.option("--source")
@click.option("--metadata", multiple=True, metavar="NAME=TEXT", help="To set; repeatable.")
@click.option("--remove-metadata", multiple=True, metavar="NAME", help="Repeatable.")
@url_option
@output.option
def update(
    name: str,
    metadata: Sequence[str],
    remove_metadata: Sequence[str],
    url: str,
    show: output.Show,
    **texts: str | None,
) -> None:
    """Change what is said of a dataset, never its rows."""
    body: dict[str, Any] = {field: text for field, text in texts.items() if text is not None}
    changed = {**pairs(metadata, "--metadata"), **dict.fromkeys(remove_metadata)}
    if changed:
        body["metadata"] = changed
    if not body:
        raise click.UsageError("Nothing is to change: name what is, as with '--symbol'.")
    with Api(url) as api:
        found = api.patch(f"/api/datasets/{name}", body)
    show(found, drawing.dataset)


@click.command(epilog=exit_codes())
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
