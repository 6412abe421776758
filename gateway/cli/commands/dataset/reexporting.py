"""A batch of legacy files."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
import orjson

from gateway.cli import batch, output
from gateway.cli.api import Api, url_option
from gateway.cli.batch_file import load
from gateway.cli.exit_codes import ExitCode
from gateway.cli.exit_codes import table as exit_codes
from gateway.cli.failure import Failure
from gateway.cli.tables import batches as drawing
from gateway.cli.uploads import FILE


@click.command(epilog=exit_codes())
@click.argument("manifest", type=FILE, metavar="MANIFEST.yaml")
@click.option(
    "--report",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write what became of each as JSON to this file, too.",
)
@url_option
@output.option
def reexport(manifest: Path, report: Path | None, url: str, show: output.Show) -> None:
    """Import a batch of legacy files; a second run passes over what is published.

    \b
    datasets:
      - slug: btc_4h
        symbol: BTCUSD
        granularity: 4h
        ohlcv: bars/BTC4H.TXT         from the folder of MANIFEST.yaml
        ohlcv_sha256: 9f86d08…        checked before anything is sent
        indicators: ind/BTC4H.TXT     may be left out
        options:                      as of `dataset import`
          calendar: 24x7
          ohlcv_format: tssb_market
          targets: [TGT_FWD6:6]
    """
    entries = load(manifest)
    if report is not None:
        _refuse_unwritable(report)
    outcomes: list[batch.Outcome] = []
    with Api(url) as api:
        try:
            for outcome in batch.run(api, entries):
                outcomes.append(outcome)  # noqa: PERF402 - what came before an interrupt is told
        finally:
            found = batch.summary(outcomes)
            if report is not None:
                _write(report, found)
    show(found, drawing.outcomes)
    if found["failed"]:
        sentence = f"{found['failed']} of {len(entries)} datasets were not published."
        raise Failure(sentence, ExitCode.INCOMPLETE)


def _write(path: Path, found: Any) -> None:
    """Aside and renamed: who waits for the file never reads half of it."""
    with _told_when_unwritable(path):
        aside = _aside(path)
        aside.write_bytes(orjson.dumps(found, option=orjson.OPT_INDENT_2))
        aside.replace(path)


def _refuse_unwritable(path: Path) -> None:
    """Before hours of work, whose report would be lost."""
    with _told_when_unwritable(path):
        _aside(path).touch()
        _aside(path).unlink()


def _aside(path: Path) -> Path:
    return path.with_name(f".{path.name}.partial")


@contextmanager
def _told_when_unwritable(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise Failure(f"{path} cannot be written: {error.strerror}.", ExitCode.REFUSED) from error
