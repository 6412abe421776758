"""Servers that may be killed, and the table of faults at the end."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest

from tests.faults.cases import Cases, Table
from tests.faults.servers import Postgres, killable_postgres, killable_questdb

_TABLE = pytest.StashKey[Table]()


@pytest.fixture(scope="session")
def mortal_postgres() -> Iterator[Postgres]:
    with killable_postgres() as server:
        yield server


@pytest.fixture(scope="session")
def servers(mortal_postgres: Postgres, pytestconfig: pytest.Config) -> Iterator[Cases]:
    with ExitStack() as stack:
        yield Cases(
            folder=Path(),
            postgres=mortal_postgres,
            questdb=cache(lambda: stack.enter_context(killable_questdb())),
            table=pytestconfig.stash.setdefault(_TABLE, Table()),
        )


@pytest.fixture
def cases(servers: Cases, tmp_path: Path) -> Cases:
    return replace(servers, folder=tmp_path)


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    table = config.stash.get(_TABLE, None)
    if table is not None:
        terminalreporter.section("faults")
        for line in table.lines():
            terminalreporter.write_line(line)
