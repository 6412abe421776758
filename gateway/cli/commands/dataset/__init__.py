"""`stage1 dataset …`: bars and indicators."""

from __future__ import annotations

from typing import Final

import click

from gateway.cli.exit_codes import table as exit_codes
from gateway.cli.lazy import LazyGroup

_HERE: Final = "gateway.cli.commands.dataset"
_COMMANDS: Final = {
    "sniff": (f"{_HERE}.importing:sniff", "What an import would make of a file, and why."),
    "import": (f"{_HERE}.importing:import_", "Publish files as a dataset, all or nothing."),
    "append": (f"{_HERE}.importing:append", "Add rows to the end of a dataset."),
    "adopt": (f"{_HERE}.importing:adopt", "Make a dataset of tables in the store."),
    "reexport": (f"{_HERE}.reexporting:reexport", "Import a batch of legacy files."),
    "export": (f"{_HERE}.exporting:export", "Write a version as files."),
    "list": (f"{_HERE}.looking:list_", "Datasets, newest first."),
    "show": (f"{_HERE}.looking:show_", "What is said of it; rows, times, columns, gaps, hash."),
    "head": (f"{_HERE}.looking:head", "The first or last rows of a table."),
    "columns": (f"{_HERE}.looking:columns", "Columns, and what stands in them."),
    "gaps": (f"{_HERE}.looking:gaps", "Expected slots without a bar."),
    "versions": (f"{_HERE}.looking:versions", "Published versions, newest first."),
    "imports": (f"{_HERE}.looking:imports", "Imports and appends, and what became of them."),
    "watch": (f"{_HERE}.watching:watch", "What happens to datasets, as it happens."),
    "update": (f"{_HERE}.changing:update", "Change what is said of a dataset, never its rows."),
    "delete": (f"{_HERE}.changing:delete", "Remove a dataset with all its versions."),
    "verify": (f"{_HERE}.checking:verify", "Hold a version against its manifest and its files."),
    "fsck": (f"{_HERE}.checking:fsck", "Hold catalogue and series store against each other."),
}


@click.group(cls=LazyGroup, lazy=_COMMANDS, epilog=exit_codes())
def dataset() -> None:
    """Bars and indicators, version by version. NAME is a slug or a UUID everywhere."""
