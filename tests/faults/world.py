"""One case: a dataset in a house, those who read it meanwhile, and what must have come of it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from typing import Final, NamedTuple
from uuid import uuid4

from services.shared.errors import Stage1Error
from tests.faults.client import Acknowledged, Asked, Client
from tests.faults.house import House
from tests.faults.market import Append, Content, Import, Request, Upload, new_key
from tests.faults.oracle import Oracle
from tests.faults.processes import Coordinator, Failpoints, until
from tests.faults.readers import Readers, reading

STORES: Final = ("arrow", "questdb")
BASE_ROWS: Final = 3_000
MORE_ROWS: Final = 200


class Held(NamedTuple):
    request: Upload
    asked: Asked


@dataclass(kw_only=True)
class World:
    house: House
    slug: str = field(default_factory=lambda: f"s{uuid4().hex[:12]}")
    oracle: Oracle = field(init=False)
    readers: Readers = field(init=False)
    rows: int = BASE_ROWS
    seed: int = 1

    def __post_init__(self) -> None:
        self.oracle = self.oracle_of(self.slug)
        self.readers = Readers(torn=self.oracle.verdict.torn)

    def oracle_of(self, slug: str) -> Oracle:
        """Of a dataset that nobody knows yet."""
        house = self.house
        return Oracle(
            slug=slug, dsn=house.dsn, folder=house.folder, tables=house.tables, asides=house.asides
        )

    @property
    def here(self) -> Client:
        """Of the service that was started last."""
        assert self.house.client is not None, "No service is running."
        return self.house.client

    @property
    def service(self) -> Coordinator:
        return self.house.processes[-1]

    @property
    def failpoints(self) -> Failpoints:
        return self.house.failpoints

    def reading(self) -> AbstractAsyncContextManager[Readers]:
        return reading(self.readers, self.slug, lambda: self.here)

    async def begin(self) -> None:
        """Version 1."""
        first = Import(slug=self.slug, content=Content(self.seed, self.rows), key=new_key())
        answer = await self.here.attempt(first)
        assert isinstance(answer, Acknowledged), answer
        self.oracle.know(first)

    async def next(self, kind: str) -> Upload:
        return await (self._next_import() if kind == "import" else self._next_append())

    async def _next_import(self) -> Import:
        """Another market as the next version."""
        found = await self.here.found(self.slug, patient=True)
        self.seed += 1
        return Import(
            slug=self.slug,
            content=Content(self.seed, self.rows),
            dataset_id=found.dataset.dataset_id,
            key=new_key(),
        )

    async def _next_append(self) -> Append:
        first = self.rows
        self.rows += MORE_ROWS
        content = Content(self.seed, self.rows)
        return Append(slug=self.slug, content=content, first=first, key=new_key())

    @asynccontextmanager
    async def held_at(self, place: str, kind: str = "") -> AsyncIterator[Held]:
        """A request, of the place's kind unless told, that waits there until the block ends."""
        request = await self.next(kind or place.partition(".")[0])
        self.failpoints.arm(place, "wait")
        asked = self.here.ask(request)
        answer = asked.answer
        await until(
            lambda: answer.done() or self.failpoints.is_sprung(place, "wait"), f"{place} reached"
        )
        assert not answer.done(), f"{place} was not reached, and the answer is {answer.result()}."
        yield Held(request, asked)
        self.failpoints.disarm()

    async def has(self, request: Request) -> None:
        """Undisturbed; judged like all others."""
        answer = await self.here.attempt(request)
        assert isinstance(answer, Acknowledged), answer
        await self.oracle.judge(self.here, request, [answer])

    async def also(self, request: Request, answer: Acknowledged | Stage1Error) -> None:
        """The judgement of the first request for another dataset."""
        oracle = self.oracle_of(request.slug)
        oracle.verdict = self.oracle.verdict
        await oracle.judge(self.here, request, [answer])

    async def recovered(
        self, request: Request, *answers: Acknowledged | Stage1Error, kind: str
    ) -> None:
        """With a service running again: the oracle's judgement, and one more request works."""
        await self.oracle.judge(self.here, request, answers)
        await self.has(await self.next(kind))
