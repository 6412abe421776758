"""QuestDB is killed -9, its answers are lost, and its tables are suspended."""

from __future__ import annotations

import asyncio
import re
from itertools import count

import httpx
import pytest

from services.shared.errors import Stage1Error
from tests.faults.cases import EVERYTHING, Cases, chosen
from tests.faults.proxy import Cut
from tests.faults.world import World

_PLACES = {
    "import.reserved": "before a table is made",
    "import.created": "before the write",
    "import.written": "before it is settled",
    "import.settled": "before it is read back",
    "append.created": "before the write",
    "append.written": "before it is settled",
    "append.settled": "before it is read back",
    "append.intended": "before the merge",
    "append.merged": "before the merge is settled",
    "append.merge_settled": "before the merge is read back",
    "append.published": "before the staged tables are dropped",
}
_NEEDLES = {
    "CREATE": re.compile(rb"CREATE(\+|%20)TABLE"),
    "write": re.compile(rb"POST /write"),
    "merge": re.compile(rb"INSERT(\+|%20)ATOMIC"),
    "DROP": re.compile(rb"DROP(\+|%20)TABLE"),
}


async def restarted(world: World) -> None:
    assert world.house.questdb is not None
    await asyncio.to_thread(world.house.questdb.start)


async def killed(world: World) -> None:
    assert world.house.questdb is not None
    await asyncio.to_thread(world.house.questdb.kill)


@pytest.mark.parametrize("place", chosen(_PLACES, "append.intended"))
async def test_a_killed_questdb_loses_nothing(cases: Cases, place: str) -> None:
    kind = place.partition(".")[0]
    fault = f"QuestDB killed -9 at {place} ({_PLACES[place]})"
    async with cases.case(fault, "questdb") as world:
        async with world.held_at(place) as held:
            await killed(world)
        answer = await held.asked.answer
        await restarted(world)
        await world.recovered(held.request, answer, kind=kind)


@pytest.mark.parametrize("cut", chosen((Cut.REQUEST_LOST, Cut.ANSWER_LOST), Cut.ANSWER_LOST))
@pytest.mark.parametrize(
    ("kind", "what"),
    chosen(
        [("import", "CREATE"), ("import", "write"), *(("append", what) for what in _NEEDLES)],
        ("append", "merge"),
    ),
)
async def test_a_questdb_killed_in_a_request_loses_nothing(
    cases: Cases, kind: str, what: str, cut: Cut
) -> None:
    when = "before" if cut is Cut.REQUEST_LOST else "after"
    fault = f"QuestDB killed -9 {when} a {what} of an {kind}"
    async with cases.case(fault, "questdb") as world:
        request = await world.next(kind)
        trap = world.house.questdb_link.trap(_NEEDLES[what], cut, action=lambda: killed(world))
        answer = await world.here.attempt(request)
        assert trap.is_taken, answer
        await trap.sprung.wait()
        await restarted(world)
        await world.recovered(request, answer, kind=kind)


@pytest.mark.timeout(1800)
@pytest.mark.parametrize(
    ("kind", "what"),
    chosen(
        [("import", "CREATE"), ("import", "write"), *(("append", what) for what in _NEEDLES)],
        ("append", "merge"),
    ),
)
async def test_a_lost_acknowledgement_of_questdb_changes_nothing(
    cases: Cases, kind: str, what: str
) -> None:
    for nth in count(1):
        fault = f"acknowledgement of {what} {nth} of an {kind} lost"
        async with cases.case(fault, "questdb") as world:
            request = await world.next(kind)
            link = world.house.questdb_link
            trap = link.trap(_NEEDLES[what], Cut.ANSWER_LOST, nth=nth)
            answer = await world.here.attempt(request)
            link.disarm()
            await world.recovered(request, answer, kind=kind)
        if not trap.is_taken:
            assert nth > 1
            cases.table.forget(fault, "questdb")
            return
        if not EVERYTHING:
            return


@pytest.mark.parametrize("place", chosen(("import.created", "append.created"), "append.created"))
async def test_a_suspended_table_of_an_attempt_refuses_it(cases: Cases, place: str) -> None:
    kind = place.partition(".")[0]
    async with cases.case(f"WAL suspended at {place}", "questdb") as world:
        before = await world.oracle.tables()
        async with world.held_at(place) as held:
            for table in await world.oracle.tables() - before:
                await alter(world, table, "SUSPEND WAL")
        answer = await held.asked.answer
        assert isinstance(answer, Stage1Error)
        await world.recovered(held.request, answer, kind=kind)


async def test_a_suspended_table_of_a_dataset_holds_its_append_up_until_it_is_resumed(
    cases: Cases,
) -> None:
    place = "append.intended"
    async with cases.case(f"WAL suspended at {place}", "questdb") as world:
        manifest = await world.here.manifest(world.slug, 1)
        tables = manifest.ohlcv_measurement, manifest.indicator_measurement
        async with world.held_at(place) as held:
            for table in tables:
                await alter(world, table, "SUSPEND WAL")
        answer = await held.asked.answer
        assert isinstance(answer, Stage1Error)
        for table in tables:
            await alter(world, table, "RESUME WAL")
        await world.recovered(held.request, answer, kind="append")


async def alter(world: World, table: str, how: str) -> None:
    assert world.house.questdb is not None
    query = {"query": f'ALTER TABLE "{table}" {how}'}
    async with httpx.AsyncClient(trust_env=False, timeout=30) as client:
        answer = await client.get(f"{world.house.questdb.url}/exec", params=query)
    assert answer.is_success, answer.text
