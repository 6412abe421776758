"""What clients do: ask twice at once, change their mind, go away."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import grpc
import pytest

from services.dataset.app.steps import FAILPOINTS
from services.shared.errors import AlreadyExists, Stage1Error
from tests.faults.cases import Cases, chosen
from tests.faults.client import Acknowledged
from tests.faults.market import Content, Import, Upload
from tests.faults.processes import until
from tests.faults.world import STORES, World

_KINDS = ("import", "append")


@pytest.mark.parametrize("store", chosen(STORES, "arrow"))
@pytest.mark.parametrize("kind", chosen(_KINDS, "append"))
async def test_the_same_request_many_times_at_once_is_one_version(
    cases: Cases, kind: str, store: str
) -> None:
    fault = f"the same {kind} four times at once"
    async with cases.case(fault, store) as world:
        request = await world.next(kind)
        answers = await asyncio.gather(*(world.here.attempt(request) for _ in range(4)))
        assert any(isinstance(answer, Acknowledged) for answer in answers), answers
        await world.recovered(request, *answers, kind=kind)


@pytest.mark.parametrize("store", chosen(STORES, "arrow"))
@pytest.mark.parametrize("kind", chosen(_KINDS, "append"))
async def test_the_same_key_with_another_body_is_refused_and_changes_nothing(
    cases: Cases, kind: str, store: str
) -> None:
    fault = f"the key of an {kind} with another body"
    async with cases.case(fault, store) as world:
        request = await world.next(kind)
        answer = await world.here.attempt(request)
        refused = await world.here.attempt(shorter(request))
        assert isinstance(refused, AlreadyExists)
        assert refused.reason == "IDEMPOTENCY_KEY_REUSED"
        await world.recovered(request, answer, kind=kind)


def shorter(request: Upload) -> Upload:
    """The same key, and ten rows less."""
    return replace(request, content=Content(request.content.seed, request.content.rows - 10))


@pytest.mark.parametrize("store", chosen(STORES, "arrow"))
@pytest.mark.parametrize("kind", chosen(_KINDS, "append"))
async def test_one_key_with_two_bodies_at_once_is_one_version(
    cases: Cases, kind: str, store: str
) -> None:
    fault = f"one key with two bodies at once, {kind}"
    async with cases.case(fault, store) as world:
        request = await world.next(kind)
        both = request, shorter(request)
        answers = await asyncio.gather(*(world.here.attempt(each) for each in both))
        served = [each for each, got in zip(both, answers, strict=True) if _is_served(got)]
        assert len(served) == 1, answers
        world.rows = served[0].content.rows
        await world.recovered(served[0], *filter(_is_served, answers), kind=kind)


def _is_served(answer: Acknowledged | Stage1Error) -> bool:
    return isinstance(answer, Acknowledged)


@pytest.mark.parametrize("store", chosen(STORES, "arrow"))
@pytest.mark.parametrize("kind", chosen(_KINDS, "import"))
async def test_a_client_that_is_cut_off_in_its_upload_leaves_nothing(
    cases: Cases, kind: str, store: str
) -> None:
    fault = f"client cut in the middle of the upload of an {kind}"
    async with cases.case(fault, store) as world:
        request = await world.next(kind)
        spool = world.house.folder / "dataset" / "spool"
        call = _unfinished(world, request)
        await until(lambda: any(spool.glob("*/part_0")), "the first part is coming")
        world.house.service_link.cut()
        with pytest.raises(grpc.aio.AioRpcError):
            await call
        await until(lambda: not any(spool.iterdir()), "the upload is gone")
        await world.recovered(request, kind=kind)


def _unfinished(world: World, request: Upload) -> Any:
    """All but the last piece, and then silence."""
    messages = list(request.messages())[:-1]

    async def sent() -> AsyncIterator[Any]:
        for message in messages:
            yield message
        await asyncio.Event().wait()

    stub = world.here.stub
    method: Any = stub.ImportDataset if isinstance(request, Import) else stub.AppendBars
    return method(sent(), timeout=90)


@pytest.mark.parametrize("store", chosen(STORES, "arrow"))
@pytest.mark.parametrize("place", chosen(FAILPOINTS, "append.intended"))
async def test_a_cancelled_request_is_there_whole_or_not_at_all(
    cases: Cases, place: str, store: str
) -> None:
    kind = place.partition(".")[0]
    fault = f"cancelled by the client at {place}"
    async with cases.case(fault, store) as world:
        request = await world.next(kind)
        world.failpoints.arm(place, "wait")
        asked = world.here.ask(request)
        await world.failpoints.sprung(place, "wait")
        asked.give_up()
        world.failpoints.disarm()
        await world.recovered(request, await asked.answer, kind=kind)


@pytest.mark.parametrize("store", chosen(STORES, "arrow"))
@pytest.mark.parametrize("place", chosen(FAILPOINTS, "append.merged"))
async def test_an_unforeseen_error_leaves_nothing_half_done(
    cases: Cases, place: str, store: str
) -> None:
    kind = place.partition(".")[0]
    async with cases.case(f"unforeseen error at {place}", store) as world:
        request = await world.next(kind)
        world.failpoints.arm(place, "raise")
        answer = await world.here.attempt(request)
        await world.failpoints.sprung(place, "raise")
        world.failpoints.disarm()
        await world.recovered(request, answer, kind=kind)
