"""A real QuestDB: one for the session, and one of its own for whoever must kill it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from services.shared.questdb_server import Server, running


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
        running(Path(folder)) as server,
    ):
        yield server
