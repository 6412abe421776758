"""One login role for each service that keeps data, which can touch its own schema only.

    python -m services.shared.provision

An administrator runs it before the services start, and again whenever it pleases: it
repeats. An administrator is a superuser, or a role with CREATEROLE that owns the database.
The database is Stage1's alone: what PUBLIC may do in it is taken away.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import psycopg
import structlog
from psycopg import sql
from psycopg.conninfo import make_conninfo
from psycopg.sql import SQL, Identifier
from pydantic import SecretStr

from services.shared.errors import Conflict, Unavailable
from services.shared.postgres import Connection, conninfo, verifier
from services.shared.process import run
from services.shared.settings import PostgresSettings

SCHEMAS: Final = ("dataset", "runs")
_LOCK: Final = "stage1 provision"
_CONNECT_SECONDS: Final = 10

log = structlog.get_logger()


class ProvisionSettings(PostgresSettings):
    """The DSN and password here are the administrator's."""

    dataset_password: SecretStr
    runs_password: SecretStr

    @property
    def passwords(self) -> dict[str, str]:
        return {name: getattr(self, f"{name}_password").get_secret_value() for name in SCHEMAS}


def role_of(schema: str) -> str:
    return f"stage1_{schema}"


def dsn_of(administrator: str, schema: str, password: str) -> str:
    """The same server and database, entered by the role of the schema."""
    return make_conninfo(administrator, user=role_of(schema), password=password)


async def provision(dsn: str, passwords: Mapping[str, str]) -> None:
    """Roles, schemas and rights, all or none. `passwords` are by schema.

    What an earlier Stage1 made in the schemas as the administrator becomes the roles'.
    Raises Unavailable when the server cannot be reached, Conflict when it refuses.
    """
    try:
        connecting = psycopg.AsyncConnection.connect(dsn, connect_timeout=_CONNECT_SECONDS)
        async with await connecting as connection:
            await connection.execute("SELECT pg_advisory_xact_lock(hashtext(%s))", [_LOCK])
            for schema, password in passwords.items():
                await _role(connection, role_of(schema), password)
                await _schema(connection, schema, role_of(schema))
            await _public(connection)
    except psycopg.OperationalError as error:
        raise Unavailable(f"PostgreSQL cannot be provisioned: {error}") from error
    except psycopg.Error as error:
        raise Conflict(
            f"PostgreSQL refuses to be provisioned: {error}", reason="PROVISION_REFUSED"
        ) from error


async def _role(connection: Connection, role: str, password: str) -> None:
    known = await _value(connection, "SELECT 1 FROM pg_roles WHERE rolname = %s", role)
    await connection.execute(
        SQL("{} ROLE {} LOGIN PASSWORD {}").format(
            SQL("ALTER" if known else "CREATE"),
            Identifier(role),
            sql.Literal(verifier(connection, role, password)),
        )
    )
    # Only a member may make another role the owner of something.
    if not await _value(connection, "SELECT pg_has_role(%s, 'SET')", role):
        await connection.execute(SQL("GRANT {} TO CURRENT_USER").format(Identifier(role)))


async def _schema(connection: Connection, schema: str, role: str) -> None:
    names = {"schema": Identifier(schema), "role": Identifier(role)}
    for statement in (
        "CREATE SCHEMA IF NOT EXISTS {schema} AUTHORIZATION {role}",
        "ALTER SCHEMA {schema} OWNER TO {role}",
        "REVOKE ALL ON SCHEMA {schema} FROM PUBLIC",
    ):
        await connection.execute(SQL(statement).format(**names))
    cursor = await connection.execute(_FOREIGN, {"schema": schema, "role": role})
    for kind, name in await cursor.fetchall():
        # Both are made by PostgreSQL, the name already quoted; it may hold braces.
        await connection.execute(
            SQL(" ").join([SQL("ALTER"), SQL(kind), SQL(name), SQL("OWNER TO"), names["role"]])
        )


async def _public(connection: Connection) -> None:
    database = await _value(connection, "SELECT current_database()")
    roles = SQL(", ").join(Identifier(role_of(schema)) for schema in SCHEMAS)
    for statement in (
        "REVOKE ALL ON DATABASE {database} FROM PUBLIC",
        "REVOKE ALL ON DATABASE {database} FROM {roles}",
        "GRANT CONNECT ON DATABASE {database} TO {roles}",
        "REVOKE ALL ON SCHEMA public FROM PUBLIC",
    ):
        names = {"database": Identifier(database), "roles": roles}
        await connection.execute(SQL(statement).format(**names))


async def _value(connection: Connection, query: str, *values: str) -> Any:
    row = await (await connection.execute(query.encode(), values)).fetchone()
    return row[0] if row else None


# What lies in a schema and belongs to somebody else. Indexes and sequences of columns
# follow their tables.
_FOREIGN: Final = """
    SELECT CASE relkind WHEN 'v' THEN 'VIEW' WHEN 'm' THEN 'MATERIALIZED VIEW'
      WHEN 'S' THEN 'SEQUENCE' ELSE 'TABLE' END, c.oid::regclass::text
    FROM pg_class c
    WHERE relnamespace = %(schema)s::regnamespace AND relkind IN ('r', 'p', 'v', 'm', 'S')
      AND relowner <> %(role)s::regrole
      AND NOT EXISTS (SELECT FROM pg_depend d
        WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype IN ('a', 'i')
          AND d.refclassid = 'pg_class'::regclass AND relkind = 'S')
    UNION ALL
    SELECT 'ROUTINE', oid::regprocedure::text FROM pg_proc
    WHERE pronamespace = %(schema)s::regnamespace AND proowner <> %(role)s::regrole
    UNION ALL
    SELECT CASE typtype WHEN 'd' THEN 'DOMAIN' ELSE 'TYPE' END, oid::regtype::text FROM pg_type
    WHERE typnamespace = %(schema)s::regnamespace AND typowner <> %(role)s::regrole
      AND typtype IN ('d', 'e')
"""


async def _main(settings: ProvisionSettings) -> None:
    await provision(conninfo(settings), settings.passwords)
    log.info("postgres_provisioned", roles=[role_of(schema) for schema in SCHEMAS])


if __name__ == "__main__":
    run("provision", ProvisionSettings, _main)
