"""Named statements in one transaction on PostgreSQL: what all of its parts are made of."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final
from uuid import UUID

from psycopg.rows import dict_row

from services.dataset.domain.manifest import Manifest
from services.dataset.storage.manifests import Manifests
from services.shared.postgres import Connection, load_queries

SQL: Final = load_queries(__package__)
KEY_MS: Final = 24 * 3600 * 1000


class Statements:
    """Every statement may use the time of the transaction, and the oldest time of a key."""

    def __init__(self, connection: Connection, now_ms: int, manifests: Manifests) -> None:
        self._connection = connection
        self._manifests = manifests
        self._now = {"now_ms": now_ms, "oldest_ms": now_ms - KEY_MS}

    async def _manifest(self, dataset_id: UUID, version: int) -> Manifest:
        """Of a version that is there; what it holds is read only once."""
        manifest = self._manifests.get(dataset_id, version)
        if manifest is None:
            row = await self._one("find_manifest", {"dataset_id": dataset_id, "version": version})
            assert row is not None
            manifest = await self._manifests.decode(row["manifest"])
        return manifest

    async def _do(self, statement: str, values: Mapping[str, Any]) -> int:
        """Executes; gives the number of rows it touched."""
        cursor = await self._connection.execute(SQL[statement], {**self._now, **values})
        return cursor.rowcount

    async def _all(self, statement: str, values: Mapping[str, Any]) -> list[dict[str, Any]]:
        async with self._connection.cursor(row_factory=dict_row) as cursor:
            await cursor.execute(SQL[statement], {**self._now, **values})
            return await cursor.fetchall()

    async def _one(self, statement: str, values: Mapping[str, Any]) -> dict[str, Any] | None:
        rows = await self._all(statement, values)
        return rows[0] if rows else None
