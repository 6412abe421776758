"""The run store on PostgreSQL: one transaction, seen through the tables it may touch."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from services.runs.storage.events import PostgresEvents
from services.runs.storage.ledger import PostgresLedger
from services.runs.storage.runs import PostgresRuns
from services.runs.storage.simulations import PostgresSimulations
from services.runs.storage.workers import PostgresWorkers
from services.shared.postgres import Connection, Pool, transaction


class PostgresStore:
    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[PostgresTransaction]:
        async with transaction(self._pool) as connection:
            yield PostgresTransaction(connection)


class PostgresTransaction:
    def __init__(self, connection: Connection) -> None:
        self.runs = PostgresRuns(connection)
        self.simulations = PostgresSimulations(connection)
        self.events = PostgresEvents(connection)
        self.workers = PostgresWorkers(connection)
        self.ledger = PostgresLedger(connection)
