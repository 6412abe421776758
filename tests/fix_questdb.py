"""A real QuestDB: one for the session, and one of its own for whoever must kill it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import pytest

from services.shared.questdb_server import Server, running

# Lets a test suspend a table's WAL.
DEVELOPMENT: Final = {"QDB_DEV_MODE_ENABLED": "true"}


@pytest.fixture(scope="session")
def questdb_server() -> Iterator[str]:
    """URL of a server of the session's own."""
    with (
        TemporaryDirectory(prefix="stage1-questdb-") as folder,
        running(Path(folder)) as server,
    ):
        yield server.url


@pytest.fixture
def own_questdb() -> Iterator[Server]:
    """A server that a test may kill, start again and break."""
    with (
        TemporaryDirectory(prefix="stage1-questdb-") as folder,
        running(Path(folder), more=DEVELOPMENT) as server,
    ):
        yield server
