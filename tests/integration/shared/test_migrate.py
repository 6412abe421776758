from __future__ import annotations

import asyncio

import pytest

from services.shared import migrate
from services.shared.errors import Conflict
from services.shared.migrate import Migration
from services.shared.postgres import Pool

FIRST = Migration(number=1, name="first", text="CREATE TABLE shop.a (x integer);")
SECOND = Migration(number=2, name="second", text="ALTER TABLE shop.a ADD y integer;")


@pytest.fixture
def migrations(monkeypatch: pytest.MonkeyPatch) -> list[Migration]:
    known = [FIRST]
    monkeypatch.setattr(migrate, "load", lambda package: known)
    return known


async def columns(pool: Pool) -> list[str]:
    async with pool.connection() as connection:
        cursor = await connection.execute(
            "SELECT column_name FROM information_schema.columns"
            " WHERE table_schema = 'shop' AND table_name = 'a' ORDER BY 1"
        )
        return [row[0] for row in await cursor.fetchall()]


async def up(pool: Pool) -> None:
    await migrate.migrate(pool, schema="shop", package="tests")


async def test_migrations_apply_once_in_order_and_are_then_fixed(
    pool: Pool, migrations: list[Migration]
) -> None:
    await asyncio.gather(up(pool), up(pool))
    assert await columns(pool) == ["x"]
    migrations.append(SECOND)
    await up(pool)
    assert await columns(pool) == ["x", "y"]
    migrations[0] = Migration(number=1, name="first", text="CREATE TABLE shop.a (z integer);")
    with pytest.raises(Conflict, match="another text"):
        await up(pool)
    migrations[:] = [FIRST]
    with pytest.raises(Conflict, match="update Stage1"):
        await up(pool)


async def test_a_failing_migration_leaves_nothing(pool: Pool, migrations: list[Migration]) -> None:
    bad = Migration(
        number=len(migrations) + 2, name="bad", text="CREATE TABLE shop.b(); SELECT 1/0;"
    )
    migrations.extend([SECOND, bad])
    with pytest.raises(Exception, match="division by zero"):
        await up(pool)
    async with pool.connection() as connection:
        cursor = await connection.execute("SELECT to_regclass('shop.b')")
        assert await cursor.fetchone() == (None,)
