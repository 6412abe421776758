"""What runs, over the real services."""

from __future__ import annotations

import httpx

from tests.integration.gateway.conftest import House
from tests.integration.gateway.house import imported


async def test_all_is_well(client: httpx.AsyncClient) -> None:
    health = await client.get("/healthz")
    assert health.status_code == 200
    found = health.json()
    assert (found["status"], found["trainers"], found["simulators"]) == ("ok", 1, 1)
    assert {name: one["status"] for name, one in found["services"].items()} == {
        "dataset": "SERVING",
        "runs": "SERVING",
    }
    assert (await client.get("/readyz")).json() == {"status": "ready"}


async def test_workers_say_what_they_are(client: httpx.AsyncClient) -> None:
    answer = (await client.get("/api/workers")).json()
    assert answer["count"] == 2
    assert {worker["kind"] for worker in answer["workers"]} == {"trainer", "simulator"}
    trainer = next(w for w in answer["workers"] if w["kind"] == "trainer")
    assert (trainer["device"], trainer["slots"]) == ("cpu", 1)
    assert "xgboost" in " ".join(trainer["versions"])


async def test_the_version_is_told(client: httpx.AsyncClient) -> None:
    assert set((await client.get("/api/version")).json()) == {"version", "python"}


async def test_the_first_page_shows_what_is_there(house: House) -> None:
    page = (await house.client.get("/")).text
    assert "eurusd_1h v1" in page
    assert house.run["run_id"] in page
    assert page.count("SERVING") == 2
    assert "1 registered" in page


async def test_what_people_write_is_shown_as_text(client: httpx.AsyncClient) -> None:
    await imported(client, "markup", symbol="<script>alert(1)</script>")
    page = (await client.get("/")).text
    assert "&lt;script&gt;" in page
    assert "<script" not in page
