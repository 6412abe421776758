"""A coordinator is paused, another one takes over, and then the first one wakes."""

from __future__ import annotations

import pytest

from services.dataset.app.steps import FAILPOINTS
from tests.faults.cases import Cases, chosen


@pytest.mark.parametrize("place", chosen(FAILPOINTS, "import.publishing", "append.intended"))
async def test_a_coordinator_that_wakes_after_another_took_over_changes_nothing(
    cases: Cases, place: str
) -> None:
    kind = place.partition(".")[0]
    fault = f"coordinator paused at {place}, overtaken, continued"
    async with cases.case(fault, "questdb") as world, world.started() as first:
        await world.has(world.first_import())
        async with world.reading():
            world.failpoints.arm(place, "stop")
            request = await world.next(kind)
            answer = await world.here.attempt(request, seconds=5)
            await first.stopped()
            world.failpoints.disarm()
            async with world.started():
                await world.oracle.judge(world.here, request, [answer])
                first.resume()
                await world.recovered_again(kind)
                await world.recovered_again(kind)


async def test_a_paused_coordinator_on_arrow_files_keeps_others_out(cases: Cases) -> None:
    """Its files have one owner: the second says so and ends, and the first one goes on."""
    place = "import.publishing"
    fault = f"coordinator paused at {place}, another started"
    async with cases.case(fault, "arrow") as world, world.started() as first:
        await world.has(world.first_import())
        world.failpoints.arm(place, "stop")
        request = await world.next_import()
        answer = await world.here.attempt(request, seconds=5)
        await first.stopped()
        world.failpoints.disarm()
        async with world.another() as second:
            assert "has the series in" in await second.refused_to_start()
        first.resume()
        await world.recovered(request, answer)
