"""The `stage1` command."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

import click

from gateway.cli.exit_codes import ExitCode, table
from gateway.cli.failure import Failure
from gateway.cli.lazy import LazyGroup

_COMMANDS = {
    "up": ("gateway.cli.commands.up:up", "Run everything on this machine until Ctrl-C."),
    "demo": ("gateway.cli.commands.demo:demo", "The whole path on real bars, start to finish."),
    "dataset": ("gateway.cli.commands.dataset:dataset", "Import and look at bars and indicators."),
    "run": ("gateway.cli.commands.run:run", "Plan, train and watch walk-forward runs."),
    "simulate": ("gateway.cli.commands.simulate:simulate", "Turn a run's predictions into trades."),
    "simulation": ("gateway.cli.commands.simulation:simulation", "Look at simulations."),
}


@click.group(cls=LazyGroup, lazy=_COMMANDS, epilog=table())
@click.version_option(package_name="stage1")
def stage1() -> None:
    """From bar files to honest out-of-sample evidence.

    `stage1 up` starts everything on this machine; the other commands talk to it,
    or to another Stage1 named by --url or STAGE1_URL.
    """


def main() -> None:
    sys.exit(run(sys.argv[1:]))


def run(arguments: Sequence[str]) -> int:
    """The exit code; what went wrong is on standard error."""
    try:
        return stage1.main(arguments, prog_name="stage1", standalone_mode=False) or ExitCode.OK
    except click.ClickException as error:
        error.show()
        return ExitCode.USAGE
    except Failure as error:
        click.secho(str(error), err=True, fg="red")
        return error.code
    except (click.Abort, KeyboardInterrupt):
        return ExitCode.INTERRUPTED
    except BrokenPipeError:
        # The reader has enough (`| head`); nothing more can be flushed to it.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return ExitCode.OK


if __name__ == "__main__":
    main()
