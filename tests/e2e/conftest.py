"""A whole Stage1, real processes and all, for the session."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from gateway.cli.api import Api
from gateway.cli.supervisor import background, ports
from gateway.cli.supervisor.stack import Stack
from tests.e2e.command import Command

REPOSITORY = Path(__file__).parents[2]
BARS = REPOSITORY / "examples" / "eurusd_1h_2017_ask.csv"
INDICATORS = REPOSITORY / "examples" / "eurusd_1h_2017_indicators.txt"


@pytest.fixture(scope="session")
def stage1() -> Iterator[Stack]:
    with data_folder() as folder, background.running(folder, ports.free(), print) as started:
        yield started


@contextmanager
def data_folder() -> Iterator[Path]:
    """Not under pytest's folder, which other sessions close to PostgreSQL's own user."""
    with TemporaryDirectory(prefix="stage1-e2e-") as folder:
        yield Path(folder) / "data"


@pytest.fixture(scope="session")
def command(stage1: Stack) -> Command:
    return Command(stage1.ports.url)


@pytest.fixture
def api(stage1: Stack) -> Iterator[Api]:
    with Api(stage1.ports.url) as opened:
        yield opened


@pytest.fixture(scope="session")
def dataset(command: Command) -> str:
    """The example files, imported; their slug."""
    command.json(
        *("dataset", "import", "eurusd", "--ohlcv", str(BARS), "--indicators", str(INDICATORS)),
        *("--symbol", "EURUSD", "--granularity", "1h", "--calendar", "24x5_fx"),
        *("--target", "TGT_FWD6:6", "--target", "TGT_PLANTED:6"),
    )
    return "eurusd"
