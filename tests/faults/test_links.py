"""The links to the stores and to the client are blackholed, cut and healed."""

from __future__ import annotations

import pytest

from services.shared.errors import Stage1Error
from tests.faults.cases import Cases, chosen
from tests.faults.processes import until
from tests.faults.proxy import FaultProxy, Way
from tests.faults.world import STORES, World

_SHORT_SECONDS = 3.0
_PLACES = ("import.reserved", "import.settled", "import.publishing")
_PLACES_OF_APPENDS = ("append.reserved", "append.intending", "append.intended", "append.publishing")
_ALL_PLACES = (*_PLACES, *_PLACES_OF_APPENDS)


async def blackholed(
    world: World, link: FaultProxy, place: str, *, losing: bool, seconds: float
) -> None:
    """From this place on until the client has given up, or until the fault is felt."""
    kind = place.partition(".")[0]
    async with world.reading():
        async with world.held_at(place, seconds=seconds) as held:
            link.blackhole(losing=losing)
        await until(lambda: link.is_felt, "the fault is felt")
        if seconds == _SHORT_SECONDS:
            assert isinstance(await held.answer, Stage1Error)
        link.heal()
        await world.recovered(held.request, await held.answer, kind=kind)


@pytest.mark.parametrize("store", chosen(STORES, "arrow"))
@pytest.mark.parametrize("place", chosen(_ALL_PLACES, "append.publishing"))
async def test_a_blackhole_to_postgres_that_heals_loses_nothing(
    cases: Cases, place: str, store: str
) -> None:
    async with cases.case(f"link to PostgreSQL blackholed at {place}", store) as world:
        await blackholed(world, world.house.postgres_link, place, losing=False, seconds=90)


@pytest.mark.parametrize("store", chosen(STORES, "arrow"))
@pytest.mark.parametrize("place", chosen(_ALL_PLACES, "import.publishing"))
async def test_a_blackhole_to_postgres_that_outlasts_the_client_loses_nothing(
    cases: Cases, place: str, store: str
) -> None:
    fault = f"link to PostgreSQL dead from {place} until the client gave up"
    async with cases.case(fault, store) as world:
        await blackholed(
            world, world.house.postgres_link, place, losing=True, seconds=_SHORT_SECONDS
        )


_SERIES_PLACES = ("import.reserved", "import.created", "import.settled", "append.intended")


@pytest.mark.parametrize("place", chosen(_SERIES_PLACES, "append.intended"))
async def test_a_blackhole_to_questdb_that_heals_loses_nothing(cases: Cases, place: str) -> None:
    async with cases.case(f"link to QuestDB blackholed at {place}", "questdb") as world:
        await blackholed(world, world.house.questdb_link, place, losing=False, seconds=90)


@pytest.mark.parametrize("place", chosen(_SERIES_PLACES, "import.created"))
async def test_a_blackhole_to_questdb_that_outlasts_the_client_loses_nothing(
    cases: Cases, place: str
) -> None:
    fault = f"link to QuestDB dead from {place} until the client gave up"
    async with cases.case(fault, "questdb") as world:
        await blackholed(
            world, world.house.questdb_link, place, losing=True, seconds=_SHORT_SECONDS
        )


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
        link = world.house.service_link
        seconds = _SHORT_SECONDS if how == "deaf" else 90
        async with world.held_at(place, seconds=seconds) as held:
            match how:
                case "reset":
                    link.cut()
                case "half-closed":
                    link.half_close()
                case _:
                    link.blackhole(Way.DOWN, losing=True)
        assert isinstance(await held.answer, Stage1Error)
        link.heal()
        await world.recovered(held.request, kind=place.partition(".")[0])
