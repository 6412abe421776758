"""What happens to datasets, as it happens."""

from __future__ import annotations

from typing import Any, Final

import click

from gateway.cli import output
from gateway.cli.api import Api, url_option
from gateway.cli.events import Followed
from gateway.cli.exit_codes import table as exit_codes

_FROM_NOW_ON: Final = ""
_ALL_KEPT: Final = "0"


@click.command(epilog=exit_codes())
@click.argument("name", required=False)
@click.option("--all", "all_kept", is_flag=True, help="Begin with all events that are kept.")
@url_option
@output.option
def watch(name: str | None, all_kept: bool, url: str, show: output.Show) -> None:
    """New versions, changes and removals of NAME, or of all datasets, until Ctrl-C."""
    params = {"dataset": name} if name else None
    after = _ALL_KEPT if all_kept else _FROM_NOW_ON
    with Api(url) as api:
        for event in Followed(api, "/api/datasets/events", params=params, after=after, ends=None):
            show({"event": event.kind, **event.data}, _line)


def _line(event: dict[str, Any]) -> None:
    moment = event["at"][:19].replace("T", " ")
    output.line(f"{moment} {event['event']:>9} {event['dataset_slug']} version {event['version']}")
