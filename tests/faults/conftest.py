"""Servers that may be killed, and the table of faults at the end."""

from __future__ import annotations

import os
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, contextmanager
from functools import cache
from pathlib import Path

import pytest

from tests.faults.cases import EVERYTHING, Cases, Table
from tests.faults.servers import Postgres, killable_postgres, killable_questdb

collect_ignore = [] if EVERYTHING else ["test_questdb_disk.py"]
_TABLE = pytest.StashKey[Table]()


@pytest.fixture(scope="session")
def mortal_postgres() -> Iterator[Postgres]:
    with killable_postgres() as server:
        yield server


@contextmanager
def ended_by_sigterm() -> Iterator[None]:
    """As by Ctrl-C: servers and services are ended too."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@pytest.fixture(scope="session")
async def cases(
    mortal_postgres: Postgres,
    pytestconfig: pytest.Config,
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[Cases]:
    with ExitStack() as stack, ended_by_sigterm():
        cases = Cases(
            folder=tmp_path_factory.mktemp("faults"),
            postgres=mortal_postgres,
            questdb=cache(lambda: stack.enter_context(killable_questdb())),
            table=pytestconfig.stash.setdefault(_TABLE, Table()),
        )
        yield cases
        for store in list(cases.houses):
            await cases.leave(store)


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    table = config.stash.get(_TABLE, None)
    if table is not None:
        terminalreporter.section("faults")
        for line in table.lines():
            terminalreporter.write_line(line)
        if place := os.environ.get("STAGE1_FAULTS_TABLE"):
            Path(place).write_text("\n".join([*table.summed().lines(), "", *table.lines(), ""]))
