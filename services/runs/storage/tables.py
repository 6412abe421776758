"""Statements on one connection: what every table of the store is made of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from psycopg.rows import dict_row

from services.runs.storage.rows import Row
from services.shared.postgres import Connection, load_queries

SQL: Final = load_queries(__package__)


class Table:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def _execute(self, name: str, values: Mapping[str, Any]) -> int:
        """How many rows it touched."""
        cursor = await self._connection.execute(SQL[name], values)
        return cursor.rowcount

    async def _rows(self, name: str, values: Mapping[str, Any]) -> list[Row]:
        async with self._connection.cursor(row_factory=dict_row) as cursor:
            await cursor.execute(SQL[name], values)
            return await cursor.fetchall() if cursor.description else []

    async def _row(self, name: str, values: Mapping[str, Any]) -> Row | None:
        rows = await self._rows(name, values)
        return rows[0] if rows else None

    async def _many(self, name: str, values: Sequence[Mapping[str, Any]]) -> None:
        async with self._connection.cursor() as cursor:
            await cursor.executemany(SQL[name], values)
