"""Ordered SQL migrations of one schema, each applied once and never changed afterwards.

Migrations are `migrations/0001_….sql` in a storage package. What was applied, and
the SHA-256 of its text, stands in `<schema>.schema_migrations`.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

from psycopg.sql import SQL, Identifier
from psycopg.sql import Literal as Quoted

from services.shared.errors import Conflict
from services.shared.postgres import Connection, Pool, transaction


@dataclass(frozen=True, kw_only=True)
class Migration:
    number: int
    name: str
    text: str

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.text.encode()).hexdigest()


def load(package: str) -> list[Migration]:
    """The migrations of a storage package; numbers run from 1 without holes."""
    found = []
    for file in files(package).joinpath("migrations").iterdir():
        if match := re.fullmatch(r"(\d{4})_(\w+)\.sql", file.name):
            text = file.read_text("utf-8")
            found.append(Migration(number=int(match[1]), name=match[2], text=text))
    found.sort(key=lambda m: m.number)
    if [m.number for m in found] != list(range(1, len(found) + 1)):
        raise ValueError(f"The migrations of {package} are not numbered 1 to {len(found)}.")
    return found


async def migrate(pool: Pool, *, schema: str, package: str) -> None:
    """Bring the schema to the newest migration; processes that start together take turns.

    Raises Conflict when an applied migration has changed or is newer than this program.
    """
    migrations = load(package)
    async with transaction(pool) as connection:
        await connection.execute(
            "SELECT pg_advisory_xact_lock(hashtext(%s))", [f"migrate {schema}"]
        )
        await _ensure_record(connection, schema)
        applied = await _applied(connection, schema)
        refuse_foreign(schema, migrations, applied)
        for migration in migrations[len(applied) :]:
            await connection.execute(migration.text.encode())
            await _note(connection, schema, migration)


def refuse_foreign(
    schema: str, migrations: Sequence[Migration], applied: Mapping[int, str]
) -> None:
    ours = {m.number: m.sha256 for m in migrations}
    for number, sha256 in applied.items():
        if number not in ours:
            raise Conflict(
                f"The schema {schema} is at migration {number}, newer than this program's "
                f"{len(migrations)}: update Stage1.",
                reason="SCHEMA_NEWER",
            )
        if ours[number] != sha256:
            raise Conflict(
                f"Migration {number} of the schema {schema} was applied with another text.",
                reason="MIGRATION_CHANGED",
            )


async def _ensure_record(connection: Connection, schema: str) -> None:
    name = Identifier(schema)
    # A service's own role may not make schemas, not even one that is there.
    if await _missing(connection, schema):
        await connection.execute(SQL("CREATE SCHEMA {}").format(name))
    await connection.execute(
        SQL(
            "CREATE TABLE IF NOT EXISTS {}.schema_migrations (number integer PRIMARY KEY,"
            " name text NOT NULL, sha256 text NOT NULL,"
            " applied_at timestamptz NOT NULL DEFAULT now())"
        ).format(name)
    )


async def _missing(connection: Connection, schema: str) -> bool:
    cursor = await connection.execute("SELECT to_regnamespace(%s) IS NULL", [schema])
    row = await cursor.fetchone()
    return bool(row and row[0])


async def _applied(connection: Connection, schema: str) -> dict[int, str]:
    cursor = await connection.execute(
        SQL("SELECT number, sha256 FROM {}.schema_migrations ORDER BY number").format(
            Identifier(schema)
        )
    )
    rows: list[tuple[Any, ...]] = await cursor.fetchall()
    return {row[0]: row[1] for row in rows}


async def _note(connection: Connection, schema: str, migration: Migration) -> None:
    values = [migration.number, migration.name, migration.sha256]
    await connection.execute(
        SQL("INSERT INTO {}.schema_migrations (number, name, sha256) VALUES ({})").format(
            Identifier(schema), SQL(", ").join(map(Quoted, values))
        )
    )
