"""Versions, columns, gaps and imports over the real service."""

from __future__ import annotations

import httpx
import polars as pl
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


async def test_statistics_are_those_of_the_rows(client: httpx.AsyncClient) -> None:
    path = "/api/datasets/eurusd_1h/columns?columns=close&bins=10"
    (found,) = (await client.get(path)).json()["columns"]
    rows = (await client.get("/api/datasets/eurusd_1h/ohlcv?columns=close")).json()["rows"]
    close = pl.DataFrame(rows)["close"]
    figures = found["statistics"]
    assert (figures["rows"], found["null_count"]) == (6225, 0)
    assert (figures["min"], figures["max"]) == (close.min(), close.max())
    assert figures["mean"] == pytest.approx(close.mean(), rel=1e-12)
    assert figures["std"] == pytest.approx(close.std(), rel=1e-9)
    assert figures["quantiles"]["50"] == pytest.approx(close.median(), rel=1e-12)
    assert list(figures["quantiles"]) == ["1", "5", "25", "50", "75", "95", "99"]
    assert (len(figures["histogram_edges"]), sum(figures["histogram_counts"])) == (11, 6225)


async def test_every_column_of_both_tables_has_statistics(client: httpx.AsyncClient) -> None:
    found = (await client.get("/api/datasets/eurusd_1h/columns")).json()
    assert found["count"] == 5 + 24
    assert all(c["statistics"] for c in found["columns"])


async def test_tiles_of_bars_keep_open_high_low_and_close(client: httpx.AsyncClient) -> None:
    path = "/api/datasets/eurusd_1h"
    tiles = (await client.get(f"{path}/tiles?buckets=7")).json()
    assert (tiles["measurement"], tiles["count"]) == ("eurusd_1h_v1_ohlcv_a1", 7)
    frame = pl.DataFrame((await client.get(f"{path}/ohlcv")).json()["rows"])
    assert sum(tile["rows"] for tile in tiles["rows"]) == frame.height
    first = frame.head(tiles["rows"][0]["rows"])
    assert tiles["rows"][0] == {
        "timestamp_ms": first["timestamp_ms"][0],
        "rows": first.height,
        "open": first["open"][0],
        "high": first["high"].max(),
        "low": first["low"].min(),
        "close": first["close"][-1],
        "volume": pytest.approx(first["volume"].sum()),
    }


async def test_tiles_of_indicators_are_their_least_and_most(client: httpx.AsyncClient) -> None:
    path = "/api/datasets/eurusd_1h/tiles?table=indicators&columns=RSI_14&buckets=3"
    tiles = (await client.get(path)).json()
    assert list(tiles["rows"][0]) == ["timestamp_ms", "rows", "RSI_14.min", "RSI_14.max"]
    again = await client.get(f"{path}&format=arrow")
    assert again.headers["content-type"] == "application/vnd.apache.arrow.stream"
    known = {"if-none-match": again.headers["etag"]}
    assert (await client.get(f"{path}&format=arrow", headers=known)).status_code == 304


async def test_tiles_of_a_range_of_times_hold_only_its_rows(client: httpx.AsyncClient) -> None:
    path = "/api/datasets/eurusd_1h/tiles"
    start = 1_483_308_000_000
    params = {"start_ts_ms": start, "end_ts_ms": start + 5 * 3_600_000, "buckets": 100}
    tiles = (await client.get(path, params=params)).json()
    assert [tile["rows"] for tile in tiles["rows"]] == [1] * 5
    since = (await client.get(path, params={"start_ts_ms": start, "buckets": 1})).json()
    assert since["rows"][0]["rows"] == 6225
    backwards = await client.get(path, params={"start_ts_ms": 5, "end_ts_ms": 4})
    assert fields(refusal(backwards, 400, "OUT_OF_RANGE")) == {"start_ts_ms"}


@pytest.mark.parametrize("query", ["buckets=0", "buckets=20001", "table=joined", "format=csv"])
async def test_tiles_that_cannot_be_are_400(client: httpx.AsyncClient, query: str) -> None:
    assert (await client.get(f"/api/datasets/eurusd_1h/tiles?{query}")).status_code == 400
