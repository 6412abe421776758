"""The process that imports and appends is killed -9 between any two of its effects."""

from __future__ import annotations

from itertools import product

import pytest

from services.dataset.app.steps import FAILPOINTS
from tests.faults.cases import Cases, chosen
from tests.faults.world import STORES


@pytest.mark.parametrize(
    ("place", "store"),
    chosen(
        product(FAILPOINTS, STORES), ("import.publishing", "arrow"), ("append.intended", "questdb")
    ),
)
async def test_a_killed_coordinator_loses_nothing(cases: Cases, place: str, store: str) -> None:
    kind = place.partition(".")[0]
    async with cases.case(f"coordinator killed -9 at {place}", store) as world:
        request = await world.next(kind)
        world.failpoints.arm(place, "kill")
        answer = await world.here.attempt(request)
        await world.service.died()
        world.failpoints.disarm()
        await world.house.start()
        await world.recovered(request, answer, kind=kind)
