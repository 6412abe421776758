from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import psycopg
import pytest

from services.shared import embedded


@pytest.fixture
def folder() -> Iterator[Path]:
    with TemporaryDirectory(prefix="stage1-postgres-") as parent:
        yield Path(parent) / "postgres"


def test_what_was_committed_is_there_after_a_restart(folder: Path) -> None:
    with embedded.postgres(folder) as server, psycopg.connect(server.dsn) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 7 AS x")
    with embedded.postgres(folder) as server, psycopg.connect(server.dsn) as connection:
        assert connection.execute("SELECT x FROM kept").fetchone() == (7,)


def test_an_initdb_that_was_killed_does_not_stand_in_the_way(folder: Path) -> None:
    half_made = folder.with_name("postgres.initdb")
    half_made.mkdir()
    (half_made / "PG_VERSION").write_text("18\n")
    with embedded.postgres(folder) as server, psycopg.connect(server.dsn) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)
    assert not half_made.exists()


def test_the_server_is_never_told_the_password_itself(folder: Path) -> None:
    with embedded.postgres(folder) as server, psycopg.connect(server.dsn) as connection:
        connection.autocommit = True
        connection.execute("ALTER SYSTEM SET log_statement = 'all'")
    with embedded.postgres(folder, password="s3cret") as server:
        psycopg.connect(server.dsn).close()
    told = [file for file in folder.rglob("*log*") if file.is_file()]
    logged = "".join(file.read_text("utf-8", "replace") for file in told)
    assert "ALTER ROLE CURRENT_USER PASSWORD 'SCRAM-SHA-256$" in logged
    assert "s3cret" not in logged
