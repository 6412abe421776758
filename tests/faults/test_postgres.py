"""PostgreSQL is killed -9, or its acknowledgement is lost, at every COMMIT that writes."""

from __future__ import annotations

import asyncio
import re
from itertools import count

import pytest

from tests.faults.cases import EVERYTHING, Cases, chosen
from tests.faults.proxy import Cut
from tests.faults.world import STORES, World

# Statements are seen as text on new connections only: later ones are prepared. The collector,
# which comes by all the time, deletes old answers and writes nothing else.
_WRITES = re.compile(rb"(INSERT INTO|UPDATE) dataset\.")
_COMMIT = re.compile(rb"COMMIT\0")
_KINDS = ("import", "append")


async def strike(world: World, kind: str, cut: Cut, nth: int, *, kills: bool) -> bool:
    """False when a request has no nth COMMIT that writes."""

    async def kill() -> None:
        await asyncio.to_thread(world.house.postgres.kill)

    world.house.postgres_link.cut()
    request = await world.next(kind)
    action = kill if kills else None
    trap = world.house.postgres_link.trap(_COMMIT, cut, once_seen=_WRITES, nth=nth, action=action)
    answer = await world.here.attempt(request)
    world.house.postgres_link.disarm()
    if not trap.is_taken:
        await world.oracle.judge(world.here, request, [answer])
        return False
    await trap.sprung.wait()
    if kills:
        await asyncio.to_thread(world.house.postgres.start)
    await world.recovered(request, answer, kind=kind)
    return True


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("store", chosen(STORES, "arrow"))
@pytest.mark.parametrize("cut", chosen((Cut.REQUEST_LOST, Cut.ANSWER_LOST), Cut.ANSWER_LOST))
@pytest.mark.parametrize("kind", chosen(_KINDS, "append"))
async def test_a_killed_postgres_loses_nothing(
    cases: Cases, kind: str, cut: Cut, store: str
) -> None:
    when = "before" if cut is Cut.REQUEST_LOST else "after"
    fault = f"PostgreSQL killed -9 {when} COMMIT {{}} of an {kind}"
    await at_every_commit(cases, fault, kind, cut, store, kills=True)


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("store", chosen(STORES, "arrow"))
@pytest.mark.parametrize("kind", chosen(_KINDS, "append"))
async def test_a_lost_acknowledgement_of_a_commit_changes_nothing(
    cases: Cases, kind: str, store: str
) -> None:
    fault = f"acknowledgement of COMMIT {{}} of an {kind} lost"
    await at_every_commit(cases, fault, kind, Cut.ANSWER_LOST, store, kills=False)


async def at_every_commit(
    cases: Cases, fault: str, kind: str, cut: Cut, store: str, *, kills: bool
) -> None:
    for nth in count(1):
        strikes = False
        async with cases.case(fault.format(nth), store) as world:
            strikes = await strike(world, kind, cut, nth, kills=kills)
        if not strikes:
            assert nth > 3
            cases.table.forget(fault.format(nth), store)
            return
        if not EVERYTHING:
            return
