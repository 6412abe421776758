"""The collector at work beside imports."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import UUID

from services.dataset.app.order import PartBytes
from services.dataset.domain.catalogue import Published
from services.dataset.storage.postgres import PostgresCatalogue
from services.shared.postgres import Pool
from tests.integration.dataset.inside import files, order, started


class Interrupted:
    """A catalogue in which something happens once imports in flight were looked for."""

    def __init__(self, catalogue: PostgresCatalogue) -> None:
        self._catalogue = catalogue
        self.meanwhile: Callable[[], Awaitable[None]] | None = None

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Any]:
        async with self._catalogue.transaction() as transaction:
            yield InterruptedTransaction(self, transaction)


class InterruptedTransaction:
    def __init__(self, catalogue: Interrupted, transaction: Any) -> None:
        self._catalogue = catalogue
        self._transaction = transaction

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transaction, name)

    async def in_flight(self, owner: UUID) -> Sequence[UUID]:
        known: Sequence[UUID] = await self._transaction.in_flight(owner)
        if self._catalogue.meanwhile is not None:
            await self._catalogue.meanwhile()
        return known


async def test_an_import_that_begins_while_the_collector_looks_is_not_ended(
    migrated: Pool, tmp_path: Path
) -> None:
    wrapped: list[Interrupted] = []
    uploading, may_go_on = asyncio.Event(), asyncio.Event()
    begun: list[asyncio.Task[Published]] = []

    def wrap(catalogue: PostgresCatalogue) -> Interrupted:
        wrapped.append(Interrupted(catalogue))
        return wrapped[0]

    async def pieces() -> AsyncIterator[PartBytes]:
        uploading.set()
        await may_go_on.wait()
        for part, data in enumerate(files(1)):
            yield PartBytes(part, data)

    async with started(migrated, tmp_path, catalogue=wrap) as service:

        async def begin() -> None:
            begun.append(asyncio.create_task(service.imports.run(order("begun"), pieces())))
            await uploading.wait()

        wrapped[0].meanwhile = begin
        await service.collector.collect()
        wrapped[0].meanwhile = None
        may_go_on.set()
        assert (await begun[0]).dataset.version == 1
