"""Server-sent events over the real services."""

from __future__ import annotations

import json
from typing import Any

import httpx

from tests.integration.gateway.conftest import House
from tests.integration.gateway.house import SPEC

LONG: dict[str, Any] = {
    **SPEC,
    "hyperparameters": {"num_boost_round": 100_000, "early_stopping_rounds": 100_000},
}


async def read(
    client: httpx.AsyncClient, address: str, *, after: int | None = None, until: str = ""
) -> list[dict[str, str]]:
    """The events by field, up to the end or to one of that kind."""
    headers = {} if after is None else {"last-event-id": str(after)}
    events: list[dict[str, str]] = [{}]
    async with client.stream("GET", f"{address}/events", headers=headers) as answer:
        if answer.status_code == 204:
            return []
        assert answer.headers["content-type"].startswith("text/event-stream")
        async for line in answer.aiter_lines():
            if not line:
                if events[-1].get("event") == until:
                    break
                events.append({})
            elif not line.startswith(":"):
                name, _, value = line.partition(": ")
                events[-1][name] = value
    return [event for event in events if "event" in event]


async def test_the_story_of_a_run_is_told_from_its_beginning(house: House) -> None:
    events = await read(house.client, f"/api/runs/{house.run['run_id']}")
    stored = [event for event in events if "id" in event]
    assert [int(event["id"]) for event in stored] == list(range(1, len(stored) + 1))
    states = [json.loads(e["data"])["status"] for e in stored if e["event"] == "state_changed"]
    assert states == ["QUEUED", "RUNNING", "COMPLETED"]
    completed = [json.loads(e["data"]) for e in stored if e["event"] == "fold_completed"]
    assert [c["fold_number"] for c in completed] == [0, 1, 2]
    assert completed[0]["thresholds"] == house.run["folds"][0]["thresholds"]
    assert completed[-1]["folds_completed"] == completed[-1]["fold_count"] == 3


async def test_whoever_comes_back_gets_what_is_new(house: House) -> None:
    address = f"/api/runs/{house.run['run_id']}"
    everything = [e for e in await read(house.client, address) if "id" in e]
    rest = [e for e in await read(house.client, address, after=4) if "id" in e]
    assert rest == everything[4:]


async def test_whoever_has_all_of_it_is_told_not_to_come_back(house: House) -> None:
    address = f"/api/runs/{house.run['run_id']}"
    last = (await read(house.client, address))[-1]["id"]
    answer = await house.client.get(f"{address}/events", headers={"last-event-id": last})
    assert (answer.status_code, answer.content) == (204, b"")


async def test_a_lost_connection_misses_nothing(client: httpx.AsyncClient) -> None:
    created = await client.post("/api/runs", json={"dataset": "eurusd_1h", **LONG})
    address = created.headers["location"]
    begun = await read(client, address, until="fold_started")
    seen = [int(event["id"]) for event in begun if "id" in event]
    await client.post(f"{address}/cancel")
    rest = await read(client, address, after=seen[-1])
    seen += [int(event["id"]) for event in rest if "id" in event]
    assert seen == list(range(1, len(seen) + 1))
    assert json.loads(rest[-1]["data"])["status"] == "CANCELLED"


async def test_progress_is_told_as_it_happens_and_has_no_number(client: httpx.AsyncClient) -> None:
    created = await client.post("/api/runs", json={"dataset": "eurusd_1h", **LONG})
    address = created.headers["location"]
    progress = (await read(client, address, until="progress"))[-1]
    await client.post(f"{address}/cancel")
    assert "id" not in progress
    said = json.loads(progress["data"])
    assert (said["fold_number"], said["rounds"], said["sequence"]) == (0, 100_000, None)


async def test_a_simulation_tells_its_story_too(house: House) -> None:
    address = f"/api/simulations/{house.simulation['simulation_id']}"
    events = await read(house.client, address)
    states = [json.loads(e["data"])["status"] for e in events if e["event"] == "state_changed"]
    assert states == ["QUEUED", "RUNNING", "COMPLETED"]
