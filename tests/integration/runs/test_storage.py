from __future__ import annotations

from pathlib import Path
from uuid import uuid4

import psycopg
import pytest

from services.runs.domain.trials import Trial
from services.runs.storage import postgres as postgres_store
from services.runs.storage.postgres import PostgresStore
from services.shared.migrate import migrate
from services.shared.postgres import Pool
from tests.contract.run_examples import NOW, added
from tests.contract.run_store import QueueContract, RunStoreContract
from tests.fix_postgres import assert_schema_is_committed

STORAGE = "services.runs.storage"


@pytest.fixture
async def store(pool: Pool) -> PostgresStore:
    await migrate(pool, schema="runs", package=STORAGE)
    return PostgresStore(pool)


@pytest.fixture
async def fresh_store(store: PostgresStore, pool: Pool) -> PostgresStore:
    async with pool.connection() as connection:
        await connection.execute("DELETE FROM runs.walkforward_runs")
        await connection.execute("DELETE FROM runs.workers")
    return store


class TestPostgresRunStore(RunStoreContract):
    pass


class TestPostgresQueue(QueueContract):
    pass


async def test_the_migrated_schema_is_the_committed_one(store: PostgresStore, dsn: str) -> None:
    committed = Path(postgres_store.__file__).parent / "schema.sql"
    assert_schema_is_committed(dsn, "runs", committed)


@pytest.mark.parametrize(
    "statement", ["UPDATE runs.trials SET kind = 'RUN'", "DELETE FROM runs.trials"]
)
async def test_the_record_of_trials_cannot_be_changed(
    store: PostgresStore, pool: Pool, statement: str
) -> None:
    async with store.transaction() as tx:
        await tx.ledger.record(
            Trial(trial_id=uuid4(), kind="RUN", dataset_slug="s", target="t", started_at_ms=NOW)
        )
    with pytest.raises(psycopg.errors.RaiseException, match="append-only"):
        async with pool.connection() as connection:
            await connection.execute(statement.encode())


async def test_the_catalogue_view_shows_a_run(store: PostgresStore, pool: Pool) -> None:
    run = await added(store)
    async with pool.connection() as connection:
        cursor = await connection.execute(
            "SELECT state, features, simulations FROM runs.run_catalog WHERE run_id = %s",
            [run.run_id],
        )
        assert await cursor.fetchone() == ("QUEUED", 2, 0)
