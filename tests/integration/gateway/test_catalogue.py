"""Versions, columns, gaps and imports over the real service."""

from __future__ import annotations

import httpx
import pytest

from tests.integration.gateway.house import BARS, fields, imported, refusal


async def test_versions_are_told_newest_first(client: httpx.AsyncClient) -> None:
    first = await imported(client, "two_versions")
    await imported(client, "two_versions", dataset_id=first["dataset_id"])
    found = (await client.get("/api/datasets/two_versions/versions")).json()
    assert ([v["version"] for v in found["versions"]], found["count"]) == ([2, 1], 2)
    newest = found["versions"][0]
    assert (newest["ohlcv_row_count"], newest["indicator_row_count"]) == (6225, 6099)
    assert (newest["lookback_rows"], newest["missing_slots"]) == (120, 15)
    page = (await client.get("/api/datasets/two_versions/versions?limit=1")).json()
    rest = await client.get(
        "/api/datasets/two_versions/versions", params={"page_token": page["next_page_token"]}
    )
    assert [v["version"] for v in rest.json()["versions"]] == [1]


async def test_features_and_targets_are_what_the_manifest_says(client: httpx.AsyncClient) -> None:
    manifest = (await client.get("/api/datasets/eurusd_1h/manifest")).json()
    for role in ("feature", "target"):
        found = (await client.get(f"/api/datasets/eurusd_1h/{role}s")).json()
        wanted = [c for c in manifest["columns"] if c["role"] == role]
        assert (found[f"{role}s"], found["count"]) == (wanted, len(wanted))


async def test_gaps_are_the_missing_hours_of_christmas(client: httpx.AsyncClient) -> None:
    found = (await client.get("/api/datasets/eurusd_1h/gaps")).json()
    assert (found["missing_slots"], found["calendar"]) == (15, "24x5_fx")
    assert found["count"] == len(found["gaps"])


async def test_columns_without_statistics_are_those_of_the_manifest(
    client: httpx.AsyncClient,
) -> None:
    path = "/api/datasets/eurusd_1h/columns?statistics=false"
    found = (await client.get(path)).json()
    manifest = (await client.get("/api/datasets/eurusd_1h/manifest")).json()
    assert [{k: v for k, v in c.items() if k != "statistics"} for c in found["columns"]] == (
        manifest["columns"]
    )
    assert {c["statistics"] for c in found["columns"]} == {None}
    some = (await client.get(f"{path}&table=ohlcv&columns=close,open")).json()
    assert [c["name"] for c in some["columns"]] == ["open", "close"]
    unknown = await client.get(f"{path}&columns=colour")
    assert fields(refusal(unknown, 400, "INVALID_REQUEST")) == {"columns"}


async def test_columns_the_caller_has_are_304_before_any_is_counted(
    client: httpx.AsyncClient,
) -> None:
    path = "/api/datasets/eurusd_1h/columns?statistics=false"
    first = await client.get(path)
    again = await client.get(path, headers={"if-none-match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


async def test_an_import_is_known_afterwards_and_so_is_a_refused_one(
    client: httpx.AsyncClient,
) -> None:
    await imported(client, "remembered")
    broken = BARS.read_bytes().replace(b"1.05227,1.05426", b"1.05227,0.90000", 1)
    refused = await client.post(
        "/api/datasets", data={"slug": "refused", "symbol": "X"}, files={"ohlcv": ("b", broken)}
    )
    assert refused.status_code == 400
    found = (await client.get("/api/imports?limit=2")).json()
    newest, before = found["imports"]
    assert (newest["dataset_slug"], newest["status"], newest["kind"]) == (
        "refused",
        "REJECTED",
        "import",
    )
    assert newest["error"]
    assert (before["dataset_slug"], before["error"], before["version"]) == ("remembered", None, 1)
    assert before["status"] in {"PUBLISHED", "CLEANED"}
    by_slug = (await client.get("/api/imports?slug=remembered")).json()
    assert by_slug["imports"] == [before]
    assert (await client.get(f"/api/imports/{before['import_id']}")).json() == before
    rejected = (await client.get("/api/imports?status=REJECTED")).json()
    assert newest in rejected["imports"]


@pytest.mark.parametrize("path", ["/api/imports/nonsense", "/api/imports?status=DONE"])
async def test_an_import_that_cannot_be_is_400(client: httpx.AsyncClient, path: str) -> None:
    assert (await client.get(path)).status_code == 400


async def test_what_is_said_of_a_dataset_changes_and_its_rows_do_not(
    client: httpx.AsyncClient,
) -> None:
    before = await imported(client, "renamed", metadata='{"a": "b", "c": "d"}')
    body = {"symbol": "EUR", "metadata": {"a": None, "e": "f"}}
    answer = await client.patch("/api/datasets/renamed", json=body)
    assert answer.status_code == 200, answer.text
    assert (answer.json()["symbol"], answer.json()["granularity"]) == ("EUR", "1h")
    assert answer.json()["metadata"] == {"c": "d", "e": "f"}
    assert answer.json()["version"] == before["version"]
