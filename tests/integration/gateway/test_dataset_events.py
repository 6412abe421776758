"""Events of datasets: nothing is missed, and nobody is kept who has left."""

from __future__ import annotations

import asyncio

import httpx
from stage1.dataset.v1 import dataset_service_pb2 as pb

from services.shared.errors import DeadlineExceeded
from tests.integration.gateway.house import FIELDS, fields, refusal
from tests.integration.gateway.scripted import example
from tests.integration.gateway.test_datasets import FILES
from tests.integration.gateway.test_publishing import before
from tests.integration.gateway.told_datasets import ToldDatasets

PUBLISHED = pb.WatchDatasetsResponse(
    cursor="7", kind=pb.WatchDatasetsResponse.KIND_PUBLISHED, dataset_slug="a", version=2
)
HEARTBEAT = pb.WatchDatasetsResponse(cursor="9")


async def told_lines(client: httpx.AsyncClient, until: str, **headers: str) -> list[str]:
    found: list[str] = []
    async with (
        asyncio.timeout(30),
        client.stream("GET", "/api/datasets/events", headers=headers) as answer,
    ):
        assert answer.status_code == 200
        async for line in answer.aiter_lines():
            found.append(line)
            if line == until:
                return found
    return found


async def test_an_event_carries_its_cursor_and_a_sign_of_life_too() -> None:
    told = example(ToldDatasets, PUBLISHED, HEARTBEAT)
    async with before(told) as client:
        lines = await told_lines(client, "id: 9", **{"last-event-id": "3"})
    assert [line for line in lines if line.startswith(("event", "id", ":"))] == [
        "event: published",
        "id: 7",
        ": heartbeat",
        "id: 9",
    ]
    assert told.header == pb.WatchDatasetsRequest(cursor="3")


async def test_a_watch_goes_on_over_its_deadline_where_it_was() -> None:
    told = example(ToldDatasets, PUBLISHED, HEARTBEAT, DeadlineExceeded("Over."))
    async with (
        before(told) as client,
        asyncio.timeout(30),
        client.stream("GET", "/api/datasets/events?dataset=a") as answer,
    ):
        lines = answer.aiter_lines()  # kept: a generator that goes away closes the connection
        async for line in lines:
            if line == "id: 9":
                break
        await told.asked_twice.wait()
    assert told.asked[1] == pb.WatchDatasetsRequest(cursor="9", dataset="a")


async def test_a_browser_that_leaves_ends_the_watch() -> None:
    told = example(ToldDatasets, PUBLISHED, None)
    async with before(told) as client:
        await told_lines(client, "id: 7")
        async with asyncio.timeout(10):
            await told.left.wait()


async def test_an_id_that_no_event_had_is_400(client: httpx.AsyncClient) -> None:
    headers = {"last-event-id": "x" * 2000}
    answer = await client.get("/api/datasets/events", headers=headers)
    assert fields(refusal(answer, 400, "INVALID_REQUEST")) == {"Last-Event-ID"}


async def test_a_dataset_that_is_not_there_cannot_be_watched(client: httpx.AsyncClient) -> None:
    answer = await client.get("/api/datasets/events?dataset=nothing_here")
    assert answer.status_code == 404


async def test_what_was_published_is_told_from_the_beginning(client: httpx.AsyncClient) -> None:
    answer = await client.post("/api/datasets", data={"slug": "watched", **FIELDS}, files=FILES)
    assert answer.status_code == 201, answer.text
    dataset = answer.json()["dataset_id"]
    await client.patch("/api/datasets/watched", json={"symbol": "EUR"})
    kinds: list[str] = []
    async with (
        asyncio.timeout(30),
        client.stream(
            "GET", f"/api/datasets/events?dataset={dataset}", headers={"last-event-id": "0"}
        ) as events,
    ):
        async for line in events.aiter_lines():
            if line.startswith("event: "):
                kinds.append(line.removeprefix("event: "))
            if len(kinds) == 2:
                break
    assert kinds == ["published", "updated"]
