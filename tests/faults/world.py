"""One case: a database, a data folder, links that can fail, a service that can die, a client."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Final, NamedTuple
from uuid import uuid4

from grpc import aio
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse
from grpc_health.v1.health_pb2_grpc import HealthStub

from services.shared.errors import Stage1Error
from services.shared.questdb_server import Server as QuestDB
from services.shared.questdb_server import free_port, url_of
from tests.faults.client import PATIENCE_SECONDS, Acknowledged, Client, client_of
from tests.faults.market import Append, Content, Import, Request, new_key
from tests.faults.oracle import Oracle, Scene, tables_of_arrow, tables_of_questdb
from tests.faults.processes import (
    DEADLINE_SECONDS,
    Coordinator,
    Failpoints,
    coordinator,
    until,
    until_true,
)
from tests.faults.proxy import FaultProxy, fault_proxy
from tests.faults.readers import Readers, reading
from tests.faults.servers import Postgres

STORES: Final = ("arrow", "questdb")
BASE_ROWS: Final = 3_000
MORE_ROWS: Final = 200


class Held(NamedTuple):
    request: Request
    answer: asyncio.Task[Acknowledged | Stage1Error]


@dataclass(kw_only=True)
class World:
    """`client` is of the service that was started last, by way of `service_link`."""

    store: str
    folder: Path
    slug: str
    database: str
    postgres: Postgres
    questdb: QuestDB | None
    postgres_link: FaultProxy
    questdb_link: FaultProxy
    failpoints: Failpoints
    oracle: Oracle
    readers: Readers = field(default_factory=Readers)
    settings: dict[str, str] = field(default_factory=dict)
    client: Client | None = None
    service_link: FaultProxy = field(init=False)
    rows: int = BASE_ROWS
    seed: int = 1

    @asynccontextmanager
    async def started(self) -> AsyncIterator[Coordinator]:
        """A coordinator that serves, until the block ends."""
        async with self.another() as running:
            await self._serves(running)
            async with (
                fault_proxy(("127.0.0.1", running.port)) as link,
                client_of(link.port) as client,
            ):
                self.service_link, self.client = link, client
                yield running
                self.client = None

    def another(self) -> AbstractAsyncContextManager[Coordinator]:
        """Not waited for, and nobody's service yet."""
        log = self.folder.parent / "coordinator.log"
        return coordinator(self._environment(), free_port(), log)

    def _environment(self) -> dict[str, str]:
        dsn = self.postgres.dsn(self.database, self.postgres_link.port)
        return {
            "STAGE1_POSTGRES_DSN": dsn,
            "STAGE1_DATA_DIR": str(self.folder),
            "STAGE1_SERIES": self.store,
            "STAGE1_QUESTDB_URL": url_of(self.questdb_link.port),
            "STAGE1_TEST_FAILPOINTS": str(self.failpoints.folder),
            "STAGE1_DRAIN_SECONDS": "1",
            "STAGE1_COLLECT_SECONDS": "0.5",
            **self.settings,
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

    @property
    def here(self) -> Client:
        assert self.client is not None, "No service is running."
        return self.client

    def reading(self) -> AbstractAsyncContextManager[Readers]:
        return reading(self.readers, self.slug, lambda: self.client)

    def log(self) -> str:
        log = self.folder.parent / "coordinator.log"
        return log.read_text("utf-8", "replace") if log.exists() else ""

    def first_import(self) -> Import:
        return Import(slug=self.slug, content=Content(self.seed, self.rows), key=new_key())

    async def next_import(self) -> Import:
        """Another market as the next version."""
        found = await self.here.found(self.slug)
        self.seed += 1
        return Import(
            slug=self.slug,
            content=Content(self.seed, self.rows),
            dataset_id=found.dataset.dataset_id,
            key=new_key(),
        )

    async def next_append(self) -> Append:
        first = self.rows
        self.rows += MORE_ROWS
        return Append(
            slug=self.slug, content=Content(self.seed, self.rows), first=first, key=new_key()
        )

    async def next(self, kind: str) -> Request:
        return await (self.next_import() if kind == "import" else self.next_append())

    @asynccontextmanager
    async def held_at(
        self, place: str, *, seconds: float = PATIENCE_SECONDS
    ) -> AsyncIterator[Held]:
        """A request of the place's kind that waits there until the block ends."""
        request = await self.next(place.partition(".")[0])
        self.failpoints.arm(place, "wait")
        answer = asyncio.create_task(self.here.attempt(request, seconds=seconds))
        await until(
            lambda: answer.done() or self.failpoints.is_sprung(place, "wait"), f"{place} reached"
        )
        assert not answer.done(), f"{place} was not reached, and the answer is {answer.result()}."
        yield Held(request, answer)
        self.failpoints.disarm()

    async def has(self, request: Request) -> None:
        """Undisturbed; judged like all others."""
        await self.oracle.judge(self.here, request, [await self.here.publish(request)])

    async def recovered(
        self, request: Request, *answers: Acknowledged | Stage1Error, kind: str = "import"
    ) -> None:
        """With a service running again: the oracle's judgement, and one more request works."""
        await self.oracle.judge(self.here, request, answers)
        await self.recovered_again(kind)

    async def recovered_again(self, kind: str) -> None:
        await self.has(await self.next(kind))


@asynccontextmanager
async def world(folder: Path, postgres: Postgres, questdb: QuestDB | None) -> AsyncIterator[World]:
    database = await asyncio.to_thread(postgres.database)
    slug = f"s{uuid4().hex[:12]}"
    data = folder / "data"
    data.mkdir()
    tables: Callable[[], Awaitable[set[str]]] = partial(tables_of_arrow, data)
    upstream = ("127.0.0.1", 1)
    if questdb is not None:
        tables = partial(tables_of_questdb, questdb.url)
        upstream = ("127.0.0.1", int(questdb.url.rpartition(":")[2]))
    async with (
        fault_proxy(("127.0.0.1", postgres.port)) as postgres_link,
        fault_proxy(upstream) as questdb_link,
    ):
        scene = Scene(slug=slug, dsn=postgres.dsn(database), folder=data, tables=tables)
        yield World(
            store="questdb" if questdb else "arrow",
            folder=data,
            slug=slug,
            database=database,
            postgres=postgres,
            questdb=questdb,
            postgres_link=postgres_link,
            questdb_link=questdb_link,
            failpoints=Failpoints(folder / "failpoints"),
            oracle=Oracle(scene),
        )
