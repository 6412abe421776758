"""The links to the stores and to the client are blackholed, cut and healed."""

from __future__ import annotations

import asyncio

import pytest

from services.shared.errors import Stage1Error
from tests.faults.cases import Cases, chosen
from tests.faults.processes import until
from tests.faults.proxy import FaultProxy, Way
from tests.faults.world import STORES, World

_OUTAGE_SECONDS = 1.0  # so that the request meets it too; nothing depends on how long it is
_PLACES = ("import.reserved", "import.settled", "import.publishing")
_PLACES_OF_APPENDS = ("append.reserved", "append.intending", "append.intended", "append.publishing")
_ALL_PLACES = (*_PLACES, *_PLACES_OF_APPENDS)


async def blackholed(world: World, link: FaultProxy, place: str, *, outlasts: bool) -> None:
    """From this place on until it is felt, and then healed, or until the client has given up."""
    kind = place.partition(".")[0]
    async with world.held_at(place) as held:
        link.blackhole(losing=outlasts)
    await until(lambda: link.is_felt, "the fault is felt")
    await asyncio.sleep(_OUTAGE_SECONDS)
    if outlasts:
        held.asked.give_up()
        assert isinstance(await held.asked.answer, Stage1Error)
    link.heal()
    await world.recovered(held.request, await held.asked.answer, kind=kind)


@pytest.mark.parametrize("store", chosen(STORES, "arrow"))
@pytest.mark.parametrize("place", chosen(_ALL_PLACES, "append.publishing"))
async def test_a_blackhole_to_postgres_that_heals_loses_nothing(
    cases: Cases, place: str, store: str
) -> None:
    async with cases.case(f"link to PostgreSQL blackholed at {place}", store) as world:
        await blackholed(world, world.house.postgres_link, place, outlasts=False)


@pytest.mark.parametrize("store", chosen(STORES, "arrow"))
@pytest.mark.parametrize("place", chosen(_ALL_PLACES, "import.publishing"))
async def test_a_blackhole_to_postgres_that_outlasts_the_client_loses_nothing(
    cases: Cases, place: str, store: str
) -> None:
    fault = f"link to PostgreSQL dead from {place} until the client gave up"
    async with cases.case(fault, store) as world:
        await blackholed(world, world.house.postgres_link, place, outlasts=True)


_SERIES_PLACES = ("import.reserved", "import.created", "import.settled", "append.intended")


@pytest.mark.parametrize("place", chosen(_SERIES_PLACES, "append.intended"))
async def test_a_blackhole_to_questdb_that_heals_loses_nothing(cases: Cases, place: str) -> None:
    async with cases.case(f"link to QuestDB blackholed at {place}", "questdb") as world:
        await blackholed(world, world.house.questdb_link, place, outlasts=False)


@pytest.mark.parametrize("place", chosen(_SERIES_PLACES, "import.created"))
async def test_a_blackhole_to_questdb_that_outlasts_the_client_loses_nothing(
    cases: Cases, place: str
) -> None:
    fault = f"link to QuestDB dead from {place} until the client gave up"
    async with cases.case(fault, "questdb") as world:
        await blackholed(world, world.house.questdb_link, place, outlasts=True)


@pytest.mark.parametrize("store", chosen(STORES, "arrow"))
@pytest.mark.parametrize("how", chosen(("reset", "half-closed", "deaf"), "deaf"))
@pytest.mark.parametrize(
    "place", chosen(("import.publishing", "append.intended"), "append.intended")
)
async def test_a_client_that_never_hears_the_answer_repeats_its_request(
    cases: Cases, place: str, how: str, store: str
) -> None:
    """`deaf`: what the service says is lost, and what the client says arrives."""
    async with cases.case(f"link to the client {how} at {place}", store) as world:
        link, kind = world.house.service_link, place.partition(".")[0]
        done = f"{kind}.cleaned"
        async with world.held_at(place) as held:
            match how:
                case "reset":
                    link.cut()
                case "half-closed":
                    link.half_close()
                case _:
                    link.blackhole(Way.DOWN, losing=True)
        if how == "deaf":
            await until(lambda: done in world.failpoints.reached(), "the request is done")
            held.asked.give_up()
        answer = await held.asked.answer
        assert isinstance(answer, Stage1Error)
        link.heal()
        await world.recovered(held.request, answer, kind=kind)
