"""PostgreSQL for every store: pools, transactions and named statements."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from importlib.resources import files
from types import MappingProxyType
from typing import Any

import psycopg
import structlog
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.sql import SQL
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from services.shared.errors import InvalidRequest, Unavailable, Violation
from services.shared.settings import PostgresSettings

Connection = psycopg.AsyncConnection[Any]
Pool = AsyncConnectionPool[Connection]

log = structlog.get_logger()


class UnreadableDsn(InvalidRequest):
    reason = "POSTGRES_DSN_UNREADABLE"

    def __init__(self) -> None:
        rule = (
            "cannot be read as a connection string: it is postgresql://user:password@host:port/"
            "database, where a password's %, @, : and / are percent-encoded, or host=… user=…"
        )
        super().__init__([Violation("STAGE1_POSTGRES_DSN", rule)])


def conninfo(settings: PostgresSettings) -> str:
    """Raises UnreadableDsn, before libpq quotes the DSN, and the password in it, in every log."""
    dsn, password = settings.postgres_dsn.get_secret_value(), settings.postgres_password
    try:
        named = conninfo_to_dict(dsn)
    except psycopg.ProgrammingError:
        raise UnreadableDsn from None
    # A password with @ or / that is not percent-encoded ends up in these.
    host, ports = str(named.get("host", "")), str(named.get("port", ""))
    if "@" in host or not re.fullmatch(r"[\d,]*", ports):
        raise UnreadableDsn
    return make_conninfo(dsn, password=password.get_secret_value()) if password else dsn


def verifier(connection: psycopg.BaseConnection[Any], role: str, password: str) -> str:
    """What the server is told of a password, so that no log of its can hold the password."""
    return connection.pgconn.encrypt_password(
        password.encode(), role.encode(), b"scram-sha-256"
    ).decode()


def pool(dsn: str, *, size: int = 8) -> Pool:
    """Not open yet: `available` opens it. A statement may take 60 s, a lock 10 s."""
    options = (
        "-c statement_timeout=60s -c lock_timeout=10s -c idle_in_transaction_session_timeout=60s"
    )
    return AsyncConnectionPool(
        dsn,
        open=False,
        min_size=1,
        max_size=size,
        timeout=3,  # below the deadline of a unary call, so that its caller learns why
        kwargs={"options": options, "application_name": "stage1"},
        check=AsyncConnectionPool.check_connection,
    )


async def available(pool: Pool) -> None:
    """Open the pool and wait, however long, until PostgreSQL answers."""
    await pool.open()
    pause = 0.1
    while True:
        try:
            async with pool.connection(timeout=2) as connection:
                await connection.execute("SELECT 1")
            return
        except (psycopg.OperationalError, PoolTimeout) as error:
            log.warning("postgres_not_available", error=str(error), retry_in_seconds=pause)
            await asyncio.sleep(pause)
            pause = min(2 * pause, 5)


async def persistently(pool: Pool, work: Callable[[], Awaitable[None]]) -> None:
    """Do the work once PostgreSQL answers, and again when it goes away meanwhile."""
    while True:
        try:
            await available(pool)
            await work()
            return
        except Unavailable as error:
            log.warning("start_interrupted", error=str(error))
            await asyncio.sleep(1)


@asynccontextmanager
async def transaction(pool: Pool) -> AsyncIterator[Connection]:
    """All of the block or none of it. Raises Unavailable when PostgreSQL is away."""
    try:
        async with pool.connection() as connection:
            yield connection
    except (psycopg.OperationalError, PoolTimeout) as error:
        log.warning("postgres_failed", error=str(error))
        raise Unavailable("The metadata store does not answer; try again shortly.") from error


def load_queries(package: str | None) -> Mapping[str, SQL]:
    """The statements of a package's queries.sql by name; a repeated name is an error."""
    text = files(package or "").joinpath("queries.sql").read_text("utf-8")
    parts = re.split(r"^-- name: (\w+)$", text, flags=re.MULTILINE)[1:]
    names, bodies = parts[::2], parts[1::2]
    if len(set(names)) != len(names):
        raise ValueError(f"{package}/queries.sql names a statement twice.")
    return MappingProxyType({n: SQL(b.strip()) for n, b in zip(names, bodies, strict=True)})
