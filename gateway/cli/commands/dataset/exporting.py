"""A version as files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from gateway.cli import output
from gateway.cli.api import Api, url_option
from gateway.cli.exit_codes import table as exit_codes
from gateway.cli.exports import FORMS, Form
from gateway.cli.exports import export as write_folder
from gateway.cli.tables import datasets as drawing


@click.command(epilog=exit_codes())
@click.argument("name")
@click.argument("folder", type=click.Path(path_type=Path), metavar="DIR")
@click.option("--format", "form", type=click.Choice(FORMS), default="parquet", show_default=True)
@click.option("--version", type=click.IntRange(min=1), help="Newest without.")
@click.option("--force", is_flag=True, help="Replace an export that is there.")
@url_option
@output.option
def export(
    name: str,
    folder: Path,
    form: Form,
    version: int | None,
    force: bool,
    url: str,
    show: output.Show,
) -> None:
    """Write the tables of NAME and manifest.json into DIR, which is there whole or not at all.

    `stage1 dataset import` of these files with --manifest gives the same content hash.
    """
    with Api(url) as api:
        done = write_folder(api, name, folder, form=form, version=version, replace=force)
    show(done, _told)


def _told(done: Any) -> None:
    output.line(f"{done['folder']}: {', '.join(done['files'])}")
    drawing.manifest(done["manifest"])
