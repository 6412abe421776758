"""What cases stand on: a database, a data folder, links that can fail, and services that die."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from grpc import aio
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse
from grpc_health.v1.health_pb2_grpc import HealthStub

from services.shared.questdb_server import Server as QuestDB
from services.shared.questdb_server import free_port, url_of
from tests.faults.client import Client, client_of
from tests.faults.oracle import asides_of_arrow, tables_of_arrow, tables_of_questdb
from tests.faults.processes import (
    DEADLINE_SECONDS,
    Coordinator,
    Failpoints,
    coordinator,
    until_true,
)
from tests.faults.proxy import FaultProxy, fault_proxy
from tests.faults.servers import Postgres


@dataclass(kw_only=True)
class House:
    """`client` is of the service that was started last, by way of `service_link`."""

    folder: Path
    database: str
    postgres: Postgres
    questdb: QuestDB | None
    postgres_link: FaultProxy
    questdb_link: FaultProxy
    failpoints: Failpoints
    stack: AsyncExitStack
    processes: list[Coordinator] = field(default_factory=list)
    client: Client | None = None
    service_link: FaultProxy = field(init=False)

    @property
    def dsn(self) -> str:
        """Past the link."""
        return self.postgres.dsn(self.database)

    async def tables(self) -> set[str]:
        """Of the series store."""
        if self.questdb is not None:
            return await tables_of_questdb(self.questdb.url)
        return await tables_of_arrow(self.folder)

    async def asides(self) -> set[str]:
        """What the series store has of tables and segments that are not whole yet."""
        return set() if self.questdb is not None else await asides_of_arrow(self.folder)

    async def start(self) -> Coordinator:
        """One more service, which serves."""
        running = await self.stack.enter_async_context(self.another())
        await self._serves(running)
        address = ("127.0.0.1", running.port)
        self.service_link = await self.stack.enter_async_context(fault_proxy(address))
        self.client = await self.stack.enter_async_context(client_of(self.service_link.port))
        self.processes.append(running)
        return running

    def another(self) -> AbstractAsyncContextManager[Coordinator]:
        """Not waited for, and nobody's service yet."""
        return coordinator(self._environment(), free_port(), self.folder.parent / "log")

    async def tidy(self) -> None:
        """Ready for the next case: nothing armed, all links whole, one service."""
        self.failpoints.disarm()
        for link in (self.postgres_link, self.questdb_link, self.service_link):
            link.disarm()
            link.heal()
        for older in self.processes[:-1]:
            await older.kill()
        del self.processes[:-1]

    def log(self) -> str:
        log = self.folder.parent / "log"
        return log.read_text("utf-8", "replace") if log.exists() else ""

    def _environment(self) -> dict[str, str]:
        return {
            "STAGE1_POSTGRES_DSN": self.postgres.dsn(self.database, self.postgres_link.port),
            "STAGE1_DATA_DIR": str(self.folder),
            "STAGE1_SERIES": "questdb" if self.questdb else "arrow",
            "STAGE1_QUESTDB_URL": url_of(self.questdb_link.port),
            "STAGE1_TEST_FAILPOINTS": str(self.failpoints.folder),
            "STAGE1_DRAIN_SECONDS": "1",
            "STAGE1_COLLECT_SECONDS": "0.5",
        }

    async def _serves(self, running: Coordinator) -> None:
        async with aio.insecure_channel(f"127.0.0.1:{running.port}") as channel:
            stub: Any = HealthStub(channel)  # its types leave the calls out

            async def is_serving() -> bool:
                if running.has_ended:
                    return True
                try:
                    answer = await stub.Check(HealthCheckRequest(), timeout=5, wait_for_ready=True)
                except aio.AioRpcError:
                    return False
                return bool(answer.status == HealthCheckResponse.SERVING)

            assert await until_true(is_serving, DEADLINE_SECONDS), running.log()
            assert not running.has_ended, running.log()


@asynccontextmanager
async def house(
    folder: Path, postgres: Postgres, questdb: QuestDB | None = None
) -> AsyncIterator[House]:
    """No service runs yet."""
    database = await asyncio.to_thread(postgres.database)
    data = folder / "data"
    data.mkdir()
    port = int(questdb.url.rpartition(":")[2]) if questdb else 1
    async with AsyncExitStack() as stack:
        yield House(
            folder=data,
            database=database,
            postgres=postgres,
            questdb=questdb,
            postgres_link=await stack.enter_async_context(
                fault_proxy(("127.0.0.1", postgres.port))
            ),
            questdb_link=await stack.enter_async_context(fault_proxy(("127.0.0.1", port))),
            failpoints=Failpoints(folder / "failpoints"),
            stack=stack,
        )
