from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import make_conninfo
from psycopg.errors import InsufficientPrivilege

from services.shared import postgres
from services.shared.errors import Unavailable
from services.shared.migrate import migrate
from services.shared.provision import SCHEMAS, provision, role_of
from tests.fix_roles import provisioned

OTHERS = {"dataset": "runs", "runs": "dataset"}


async def migrated(dsn: str, schema: str) -> None:
    async with postgres.pool(dsn) as pool:
        await migrate(pool, schema=schema, package=f"services.{schema}.storage")


@pytest.fixture(scope="module")
def house(role_dsns: Mapping[str, str]) -> Mapping[str, str]:
    """The services' DSNs, each having made its own schema under its own role."""
    for schema, dsn in role_dsns.items():
        asyncio.run(migrated(dsn, schema))
    return role_dsns


def tables(dsn: str, schema: str) -> list[str]:
    with psycopg.connect(dsn) as connection:
        found = connection.execute(
            "SELECT tablename FROM pg_tables WHERE schemaname = %s ORDER BY 1", [schema]
        )
        return [row[0] for row in found]


@pytest.mark.parametrize("schema", SCHEMAS)
def test_a_role_makes_and_owns_everything_in_its_schema(
    house: Mapping[str, str], schema: str
) -> None:
    with psycopg.connect(house[schema]) as connection:
        owners = connection.execute(
            "SELECT DISTINCT pg_get_userbyid(relowner) FROM pg_class"
            " WHERE relnamespace = %s::regnamespace",
            [schema],
        ).fetchall()
    assert owners == [(role_of(schema),)]
    assert "schema_migrations" in tables(house[schema], schema)


@pytest.mark.parametrize("schema", SCHEMAS)
def test_a_role_cannot_read_or_change_a_table_of_the_other(
    house: Mapping[str, str], schema: str
) -> None:
    other = OTHERS[schema]
    names = tables(house[other], other)
    assert len(names) > 3
    for name in names:
        for statement in (
            "SELECT * FROM {}",
            "DELETE FROM {}",
            "TRUNCATE {}",
            "ALTER TABLE {} ADD COLUMN x integer",
            "DROP TABLE {}",
        ):
            refused(house[schema], sql.SQL(statement).format(sql.Identifier(other, name)))


@pytest.mark.parametrize("schema", SCHEMAS)
@pytest.mark.parametrize(
    "statement",
    [
        "CREATE TABLE {other}.mine (x integer)",
        "DROP SCHEMA {other} CASCADE",
        "CREATE TABLE public.mine (x integer)",
        "CREATE SCHEMA mine",
        "CREATE TEMPORARY TABLE mine (x integer)",
        "CREATE ROLE mine",
        "SET ROLE stage1_{other}",
        "GRANT stage1_{other} TO CURRENT_USER",
        "SELECT * FROM pg_authid",
        "COPY (SELECT 1) TO PROGRAM 'true'",
    ],
)
def test_a_role_can_make_nothing_outside_its_schema(
    house: Mapping[str, str], schema: str, statement: str
) -> None:
    refused(house[schema], sql.SQL(statement.format(other=OTHERS[schema])))


def refused(dsn: str, statement: sql.SQL | sql.Composed) -> None:
    with psycopg.connect(dsn) as connection, pytest.raises(InsufficientPrivilege):
        connection.execute(statement)


def fresh(server: str) -> str:
    name = f"t{uuid4().hex}"
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    return make_conninfo(server, dbname=name)


EXTRAS = """
CREATE TYPE runs.mood AS ENUM ('calm'); CREATE DOMAIN runs.percent AS integer;
CREATE SEQUENCE runs.counter; CREATE TABLE runs.own_counter (x serial);
CREATE MATERIALIZED VIEW runs.seen AS SELECT 1 AS x;
CREATE TABLE runs."odd {0} %s {name}" (x integer);
"""
OWNERS = """
SELECT DISTINCT pg_get_userbyid(relowner) FROM pg_class WHERE relnamespace = 'runs'::regnamespace
UNION SELECT DISTINCT pg_get_userbyid(proowner) FROM pg_proc
WHERE pronamespace = 'runs'::regnamespace
UNION SELECT DISTINCT pg_get_userbyid(typowner) FROM pg_type
WHERE typnamespace = 'runs'::regnamespace
UNION SELECT pg_get_userbyid(nspowner) FROM pg_namespace WHERE nspname = 'runs'
"""


def test_what_an_administrator_made_before_becomes_the_roles_own(postgres_server: str) -> None:
    dsn = fresh(postgres_server)
    for schema in SCHEMAS:
        asyncio.run(migrated(dsn, schema))
    with psycopg.connect(dsn) as connection:
        connection.execute(EXTRAS)
    roles = provisioned(dsn)
    with psycopg.connect(roles["runs"]) as connection:
        assert connection.execute(OWNERS).fetchall() == [("stage1_runs",)]
        connection.execute("ALTER TABLE runs.walkforward_runs ADD COLUMN x integer")
    asyncio.run(migrated(roles["dataset"], "dataset"))


def test_it_repeats_and_then_changes_passwords_only(role_dsns: Mapping[str, str], dsn: str) -> None:
    assert provisioned(dsn) == role_dsns
    with psycopg.connect(dsn) as connection:
        connection.execute("GRANT USAGE ON SCHEMA runs TO PUBLIC")
        connection.execute("GRANT CREATE ON SCHEMA public TO PUBLIC")
    provisioned(dsn)
    refused(role_dsns["dataset"], sql.SQL("SELECT * FROM runs.walkforward_runs"))
    refused(role_dsns["dataset"], sql.SQL("CREATE TABLE public.mine ()"))


def test_an_owner_of_the_database_with_createrole_is_administrator_enough(
    postgres_server: str,
) -> None:
    suffix = uuid4().hex
    owner, name = f"estate_{suffix}", f"house_{suffix}"
    # Roles are the server's, not the database's: those of the other tests make way.
    with renamed(postgres_server, [role_of(schema) for schema in SCHEMAS], suffix):
        with psycopg.connect(postgres_server, autocommit=True) as connection:
            connection.execute(f"CREATE ROLE {owner} LOGIN CREATEROLE".encode())
            connection.execute(f"CREATE DATABASE {name} OWNER {owner}".encode())
        try:
            dsn = make_conninfo(postgres_server, dbname=name, user=owner)
            for _ in range(2):
                roles = provisioned(dsn)
            asyncio.run(migrated(roles["dataset"], "dataset"))
            refused(roles["runs"], sql.SQL("SELECT * FROM dataset.datasets"))
        finally:
            with psycopg.connect(postgres_server, autocommit=True) as connection:
                connection.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())
                for role in (*map(role_of, SCHEMAS), owner):
                    if exists(connection, role):
                        connection.execute(f"DROP OWNED BY {role}; DROP ROLE {role}".encode())


def exists(connection: psycopg.Connection, role: str) -> bool:
    found = connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [role])
    return found.fetchone() is not None


@contextmanager
def renamed(server: str, roles: Sequence[str], suffix: str) -> Iterator[None]:
    """However the block ends, those that were there have their names again."""
    with psycopg.connect(server, autocommit=True) as connection, ExitStack() as stack:
        for role in roles:
            if exists(connection, role):
                connection.execute(f"ALTER ROLE {role} RENAME TO {role}_{suffix}".encode())
                back = f"ALTER ROLE {role}_{suffix} RENAME TO {role}"
                stack.callback(connection.execute, back.encode())
        yield


async def test_a_server_that_is_away_is_said() -> None:
    with pytest.raises(Unavailable, match="PostgreSQL cannot be provisioned"):
        await provision("host=/nowhere", {"dataset": "a", "runs": "b"})


def test_the_program_takes_passwords_from_files(dsn: str, tmp_path: Path) -> None:
    for name in SCHEMAS:
        (tmp_path / name).write_text(f"secret of {name}\n", "utf-8")
    environment = {
        **os.environ,
        "STAGE1_POSTGRES_DSN": dsn,
        "STAGE1_DATASET_PASSWORD_FILE": str(tmp_path / "dataset"),
        "STAGE1_RUNS_PASSWORD_FILE": str(tmp_path / "runs"),
    }
    command = (sys.executable, "-m", "services.shared.provision")
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "postgres_provisioned" in done.stderr
    assert "secret of" not in done.stderr
    del environment["STAGE1_RUNS_PASSWORD_FILE"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (1, "STAGE1_RUNS_PASSWORD: Field required\n")
