"""`stage1 up`: everything on this machine, until Ctrl-C."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Coroutine, Mapping
from pathlib import Path
from typing import Any, get_args

import click
import platformdirs

from gateway.cli import output
from gateway.cli.exit_codes import table
from gateway.cli.supervisor import ports, stack
from gateway.cli.supervisor.data_folder import Series
from gateway.cli.supervisor.stack import Stack


@click.command(epilog=table())
@click.option(
    "--data-dir",
    type=click.Path(path_type=Path),
    envvar="STAGE1_DATA_DIR",
    default=lambda: platformdirs.user_data_path("stage1", appauthor=False),
    show_default="the platform's data directory",
    show_envvar=True,
    help="Everything Stage1 knows lies here.",
)
@click.option(
    "--port-base",
    type=click.IntRange(1024, 65536 - ports.COUNT),
    default=ports.BASE,
    show_default=True,
    help="First of six ports: gateway, dataset, runs, trainer, simulator, QuestDB.",
)
@click.option(
    "--series",
    type=click.Choice(get_args(Series)),
    envvar="STAGE1_SERIES",
    show_default="what the data directory has; arrow for a new one",
    show_envvar=True,
    help="Where bars, predictions and trades lie: Arrow files, or a QuestDB that is started too.",
)
@output.option
def up(data_dir: Path, port_base: int, series: Series | None, show: output.Show) -> None:
    """Run PostgreSQL and all services on this machine, on loopback only.

    The first start with QuestDB loads it (30 MB); it needs no Java of yours. What dies is
    started again. Ctrl-C stops everything; nothing outlives this
    command, however it ends. All processes write to one log in the data directory.
    """
    asyncio.run(_run(_keep(data_dir.absolute(), ports.from_base(port_base), series, show)))


async def _run(keeping: Coroutine[None, None, None]) -> None:
    running = asyncio.create_task(keeping)

    def end() -> None:
        if not running.cancelling():  # a second Ctrl-C must not interrupt the stopping
            running.cancel()

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, end)
    await asyncio.wait([running])
    if not running.cancelled():
        running.result()


async def _keep(
    folder: Path, chosen: ports.Ports, series: Series | None, show: output.Show
) -> None:
    async with stack.running(folder, chosen, output.note, series) as started:
        show(_described(started), _draw)
        await asyncio.Event().wait()


def _described(started: Stack) -> dict[str, Any]:
    processes = [
        {"process": name, "pid": child.pid, "address": child.program.address}
        for name, child in started.children.items()
    ]
    return {
        "url": started.ports.url,
        "data_dir": str(started.folder.path),
        "series": started.folder.series,
        "log": str(started.folder.log),
        "processes": processes,
    }


def _draw(described: Mapping[str, Any]) -> None:
    output.table(described["processes"], ["process", "pid", "address"])
    output.line(f"Stage1 is ready: {described['url']} (its API: {described['url']}/docs)")
    output.line(f"Data: {described['data_dir']}\nLog:  {described['log']}\nCtrl-C stops it.")
