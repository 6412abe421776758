"""`stage1 demo`: the whole path on real bars, on a Stage1 of its own."""

from __future__ import annotations

import shutil
import signal
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final, get_args

import click

from gateway.cli import output
from gateway.cli.api import Api
from gateway.cli.exit_codes import ExitCode
from gateway.cli.exit_codes import table as exit_codes
from gateway.cli.failure import Failure
from gateway.cli.story import Story
from gateway.cli.supervisor import background, ports
from gateway.cli.supervisor.data_folder import Series
from gateway.cli.supervisor.stack import Stack

EXAMPLES: Final = Path(__file__).parents[3] / "examples"


@click.command(epilog=exit_codes())
@click.option(
    "--series",
    type=click.Choice(get_args(Series)),
    default="arrow",
    show_default=True,
    help="Where bars, predictions and trades lie: Arrow files, or a QuestDB that is started too.",
)
@click.option("--keep", is_flag=True, help="Leave it running until Ctrl-C.")
@output.option
def demo(series: Series, keep: bool, show: output.Show) -> None:
    """Import, plan, train, simulate and judge real bars, start to finish.

    It has a temporary data directory and free ports of its own, so it repeats
    and does not disturb a running `stage1 up`.
    """
    if not EXAMPLES.is_dir():
        raise Failure(
            f"The demo needs the example files, which a checkout of the repository has: {EXAMPLES}",
            ExitCode.NOT_FOUND,
        )
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    folder = Path(tempfile.mkdtemp(prefix="stage1-demo-"))
    with _removed_unless_failed(folder):
        _demonstrate(folder, series, keep, show)


@contextmanager
def _removed_unless_failed(folder: Path) -> Iterator[None]:
    """Its log says why it failed."""
    failed = False
    try:
        yield
    except Exception:
        failed = True
        output.note(f"What the demo did is kept in {folder}")
        raise
    finally:
        if not failed:
            shutil.rmtree(folder, ignore_errors=True)


def _demonstrate(folder: Path, series: Series, keep: bool, show: output.Show) -> None:
    began = time.monotonic()
    with background.running(folder, ports.free(), output.note, series) as stack:
        output.note(f"Everything is up after {time.monotonic() - began:.1f} s.")
        with Api(stack.ports.url) as api:
            told = Story(api, EXAMPLES, show).tell()
        told |= {"seconds": time.monotonic() - began, "processes": _usages(stack)}
        show(told, _draw_end)
        if keep:
            output.note(f"It stays up at {stack.ports.url}/docs until Ctrl-C.")
            with suppress(KeyboardInterrupt):
                signal.pause()


def _usages(stack: Stack) -> list[dict[str, Any]]:
    return [
        {
            "process": name,
            "processes": usage.processes,
            "anonymous_mib": usage.anonymous_bytes / (1 << 20),
            "cpu_seconds": usage.cpu_seconds,
        }
        for name, usage in (background.usages(stack) or {}).items()
    ]


def _draw_end(told: Mapping[str, Any]) -> None:
    output.heading("What it took")
    output.table(
        told["processes"],
        [
            ("process", "process", str),
            ("processes", "processes", str),
            ("memory of its own, MiB", "anonymous_mib", lambda mib: f"{mib:.0f}"),
            ("processor time, s", "cpu_seconds", lambda seconds: f"{seconds:.1f}"),
        ],
    )
    output.line(f"The whole demo took {told['seconds']:.0f} s.")
