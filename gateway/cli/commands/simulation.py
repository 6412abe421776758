"""`stage1 simulation …`: what simulations gave."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import click

from gateway.cli import download, output
from gateway.cli.api import Api, url_option
from gateway.cli.download import Form
from gateway.cli.exit_codes import table as exit_codes
from gateway.cli.named import simulation_path
from gateway.cli.tables import simulations as drawing

_TRADE_COLUMNS: Final = (
    *("trade_id", "side", "entry_time", "exit_time", "entry_price", "exit_price", "pnl"),
    *("exit_reason", "bars_held", "return_pct"),
)


@click.group(epilog=exit_codes())
def simulation() -> None:
    """What simulations gave. SIMULATION is a UUID or `latest`."""


@simulation.command("list", epilog=exit_codes())
@click.option("--run-id")
@click.option("--dataset-id", help="Its UUID or slug.")
@click.option(
    "--status",
    type=click.Choice(
        ["QUEUED", "RUNNING", "COMPLETED", "FAILED", "CANCELLED"], case_sensitive=False
    ),
)
@click.option("--limit", type=click.IntRange(1, 1000), default=50, show_default=True)
@url_option
@output.option
def list_(url: str, show: output.Show, **filters: Any) -> None:
    """Simulations, newest first."""
    with Api(url) as api:
        show(api.get("/api/simulations", filters), drawing.listed)


@simulation.command("show", epilog=exit_codes())
@click.argument("name", metavar="SIMULATION")
@url_option
@output.option
def show_(name: str, url: str, show: output.Show) -> None:
    """Settings and figures, beside buy & hold."""
    with Api(url) as api:
        show(api.get(simulation_path(api, name)), drawing.shown)


@simulation.command(epilog=exit_codes())
@click.argument("name", metavar="SIMULATION")
@download.options
@url_option
def trades(name: str, form: Form | None, into: Path | None, url: str) -> None:
    """The trades, by entry."""
    with Api(url) as api:
        path = f"{simulation_path(api, name)}/trades"
        download.rows(api, path, form=form, into=into, first=_TRADE_COLUMNS)


@simulation.command(epilog=exit_codes())
@click.argument("name", metavar="SIMULATION")
@download.options
@url_option
def equity(name: str, form: Form | None, into: Path | None, url: str) -> None:
    """Equity by bar."""
    with Api(url) as api:
        path = f"{simulation_path(api, name)}/equity"
        download.rows(api, path, form=form, into=into)
