from __future__ import annotations

from pathlib import Path

from services.dataset import storage
from tests.fix_postgres import assert_schema_is_committed
from tests.integration.dataset.client import Client


async def test_the_migrated_schema_is_the_committed_one(client: Client, dsn: str) -> None:
    committed = Path(storage.__file__).parent / "schema.sql"
    assert_schema_is_committed(dsn, "dataset", committed)
