"""Asking before something is removed."""

from __future__ import annotations

import sys

import click

from gateway.cli.api import Api


def confirm_removal(api: Api, path: str, question: str) -> None:
    """What is not there is refused before anybody is asked. Raises Abort when the answer is no."""
    if not sys.stdin.isatty():
        raise click.UsageError("Removing asks first, and nobody can answer here: give --yes.")
    with api.streamed(path):
        pass
    click.confirm(question, abort=True, err=True)
