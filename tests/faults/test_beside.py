"""What else is asked of the service while an import or an append is struck by a fault."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from enum import Enum

import pytest
from stage1.dataset.v1 import dataset_service_pb2 as pb

from services.shared.errors import Cancelled, DeadlineExceeded, Stage1Error, Unavailable
from services.shared.rpc.status import refusals
from tests.faults.cases import Cases, chosen
from tests.faults.client import PATIENCE_SECONDS, Acknowledged
from tests.faults.market import Adopt, Content, new_key
from tests.faults.processes import until
from tests.faults.world import STORES, World

_SEGMENTS = 7  # with one more they are compacted
_PAUSE_SECONDS = 0.05


class Strike(Enum):
    COORDINATOR = "coordinator killed -9"
    POSTGRES = "PostgreSQL killed -9"


_WHERE = (
    ("import.verified", Strike.COORDINATOR, "arrow"),
    ("append.merged", Strike.POSTGRES, "arrow"),
    ("import.verified", Strike.POSTGRES, "questdb"),
    ("append.merged", Strike.COORDINATOR, "questdb"),
)


async def kill(world: World, strike: Strike) -> None:
    match strike:
        case Strike.COORDINATOR:
            await world.service.kill()
        case Strike.POSTGRES:
            await asyncio.to_thread(world.house.postgres.kill)


async def start_again(world: World, strike: Strike) -> None:
    match strike:
        case Strike.COORDINATOR:
            await world.house.start()
        case Strike.POSTGRES:
            await asyncio.to_thread(world.house.postgres.start)


async def said(world: World, note: str) -> bool:
    """Whether the update was acknowledged."""
    request = pb.UpdateDatasetRequest(dataset=world.slug, metadata={"note": note})
    try:
        with refusals():
            await world.here.stub.UpdateDataset(request, timeout=PATIENCE_SECONDS)
    except Stage1Error:
        return False
    return True


async def note_of(world: World) -> str:
    return (await world.here.found(world.slug, patient=True)).dataset.metadata["note"]


@pytest.mark.parametrize(("place", "strike", "store"), chosen(_WHERE, _WHERE[1]))
async def test_an_update_beside_a_struck_request_is_made_or_not(
    cases: Cases, place: str, strike: Strike, store: str
) -> None:
    fault = f"UpdateDataset beside {place}, {strike.value}"
    async with cases.case(fault, store) as world:
        async with world.held_at(place) as held:
            assert await said(world, "first")
            second = asyncio.create_task(said(world, "second"))
            await kill(world, strike)
        answer = await held.asked.answer
        notes = {"second"} if await second else {"first", "second"}
        await start_again(world, strike)
        assert await note_of(world) in notes
        await world.recovered(held.request, answer, kind=place.partition(".")[0])
        assert await note_of(world) in notes
        assert await said(world, "third")
        assert await note_of(world) == "third"


@pytest.mark.parametrize("store", chosen(STORES, "arrow"))
@pytest.mark.parametrize("strike", chosen(Strike, Strike.COORDINATOR))
async def test_an_adoption_beside_a_struck_append_is_of_what_is_published(
    cases: Cases, strike: Strike, store: str
) -> None:
    """The append has merged its rows into the tables that are adopted, and nobody may see them."""
    fault = f"AdoptTables beside append.merged, {strike.value}"
    async with cases.case(fault, store) as world:
        whole, struck = await adoption_of(world, "whole"), await adoption_of(world, "struck")
        async with world.held_at("append.merged") as held:
            adopted = await world.here.attempt(whole)
            world.failpoints.arm_too("import.verified", "wait")
            adopting = world.here.ask(struck)
            await world.failpoints.sprung("import.verified", "wait")
            await kill(world, strike)
        appended = await held.asked.answer
        await start_again(world, strike)
        await world.recovered(held.request, appended, kind="append")
        assert isinstance(adopted, Acknowledged), adopted
        await world.also(whole, adopted)
        grown = Content(world.seed, world.rows)  # by now, should it be asked again
        await world.also(replace(struck, content=grown), await adopting.answer)


async def adoption_of(world: World, stem: str) -> Adopt:
    manifest = await world.here.manifest(world.slug, 1)
    return Adopt(
        slug=f"{stem}_{world.slug}",
        content=Content(world.seed, world.rows),
        tables=(manifest.ohlcv_measurement, manifest.indicator_measurement),
        key=new_key(),
    )


@dataclass
class Checks:
    """Of the store, one after another; `findings` are about this case's dataset."""

    world: World
    times: int = 0
    findings: list[str] = field(default_factory=list)

    async def check_on(self) -> None:
        while True:
            with suppress(Unavailable, DeadlineExceeded, Cancelled), refusals():
                await self._check()
            await asyncio.sleep(_PAUSE_SECONDS)

    async def _check(self) -> None:
        stub = self.world.here.stub
        answer = await stub.CheckStore(pb.CheckStoreRequest(), timeout=PATIENCE_SECONDS)
        self.times += 1
        self.findings += [f"{f}" for f in answer.findings if f.subject.startswith(self.world.slug)]

    async def once_more(self, task: asyncio.Task[None]) -> None:
        """From begin to end after this."""
        wanted = self.times + 2
        await until(lambda: self.times >= wanted or task.done(), "the store is checked")


@asynccontextmanager
async def checking(world: World) -> AsyncIterator[Checks]:
    checks = Checks(world)
    task = asyncio.create_task(checks.check_on())
    try:
        await checks.once_more(task)
        yield checks
        await checks.once_more(task)
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


@pytest.mark.parametrize(("place", "strike", "store"), chosen(_WHERE, _WHERE[0]))
async def test_a_check_of_the_store_beside_a_struck_request_finds_nothing_wrong(
    cases: Cases, place: str, strike: Strike, store: str
) -> None:
    fault = f"CheckStore beside {place}, {strike.value}"
    async with cases.case(fault, store) as world:
        async with checking(world) as checks:
            async with world.held_at(place) as held:
                await kill(world, strike)
            answer = await held.asked.answer
            await start_again(world, strike)
            await world.recovered(held.request, answer, kind=place.partition(".")[0])
        assert not checks.findings


@pytest.mark.parametrize("strike", chosen(Strike, Strike.COORDINATOR))
@pytest.mark.parametrize(
    "place", chosen(("series.compacting", "series.compacted"), "series.compacting")
)
async def test_a_compaction_struck_in_an_append_loses_nothing(
    cases: Cases, place: str, strike: Strike
) -> None:
    """Before and after the new segment takes the place of the small ones."""
    async with cases.case(f"compaction at {place}, {strike.value}", "arrow") as world:
        for _ in range(_SEGMENTS - 1):
            request = await world.next("append")
            answer = await world.here.attempt(request)
            assert isinstance(answer, Acknowledged), answer
            world.oracle.know(request)
        async with world.held_at(place, kind="append") as held:
            await kill(world, strike)
        answer = await held.asked.answer
        await start_again(world, strike)
        await world.recovered(held.request, answer, kind="append")
