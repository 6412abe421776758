"""A coordinator is paused, another one takes over, and then the first one wakes."""

from __future__ import annotations

import pytest

from services.dataset.app.steps import FAILPOINTS
from tests.faults.cases import Cases, chosen


@pytest.mark.timeout(600)
@pytest.mark.parametrize("place", chosen(FAILPOINTS, "append.intended"))
async def test_a_coordinator_that_wakes_after_another_took_over_changes_nothing(
    cases: Cases, place: str
) -> None:
    """Where it holds a transaction open, the other one starts when PostgreSQL has ended that."""
    kind = place.partition(".")[0]
    fault = f"coordinator paused at {place}, overtaken, continued"
    async with cases.case(fault, "questdb") as world:
        request = await world.next(kind)
        first = world.service
        world.failpoints.arm(place, "stop")
        asked = world.here.ask(request)
        await first.stopped()
        asked.give_up()
        answer = await asked.answer
        world.failpoints.disarm()
        await world.house.start()
        await world.oracle.judge(world.here, request, [answer])
        first.resume()
        await world.has(await world.next(kind))
        await world.has(await world.next(kind))


async def test_a_paused_coordinator_on_arrow_files_keeps_others_out(cases: Cases) -> None:
    """Its files have one owner: the second says so and ends, and the first one goes on."""
    place = "import.publishing"
    fault = f"coordinator paused at {place}, another started"
    async with cases.case(fault, "arrow") as world:
        request = await world.next("import")
        first = world.service
        world.failpoints.arm(place, "stop")
        asked = world.here.ask(request)
        await first.stopped()
        asked.give_up()
        answer = await asked.answer
        world.failpoints.disarm()
        async with world.house.another() as second:
            assert "has the series in" in await second.refused_to_start()
        first.resume()
        await world.recovered(request, answer, kind="import")
