"""Rows over the real service: what was in the files comes out, in both formats."""

from __future__ import annotations

import io

import httpx
import polars as pl
import pyarrow as pa
import pytest

from tests.integration.gateway.house import BARS, fields, refusal

ARROW = "application/vnd.apache.arrow.stream"
PARQUET = "application/vnd.apache.parquet"
BAR_MS = 3_600_000
FIRST_INDICATOR_MS = 1_483_912_800_000


@pytest.fixture(scope="module")
def file() -> pl.DataFrame:
    return pl.read_csv(BARS)


def table(answer: httpx.Response) -> pa.Table:
    assert answer.status_code == 200, answer.text
    return pa.ipc.open_stream(io.BytesIO(answer.content)).read_all()


async def test_all_bars_are_those_of_the_file(
    client: httpx.AsyncClient, file: pl.DataFrame
) -> None:
    answer = (await client.get("/api/datasets/eurusd_1h/ohlcv")).json()
    assert (answer["measurement"], answer["count"]) == ("eurusd_1h_v1_ohlcv_a1", 6225)
    assert [row["index"] for row in answer["rows"]] == list(range(6225))
    assert [row["close"] for row in answer["rows"]] == file["Close"].to_list()
    assert answer["rows"][0]["timestamp_ms"] == 1_483_308_000_000


async def test_arrow_says_the_same_as_json(client: httpx.AsyncClient) -> None:
    path = "/api/datasets/eurusd_1h/indicators?start_index=100&end_index=300"
    by_format = await client.get(f"{path}&format=arrow")
    by_accept = await client.get(path, headers={"accept": ARROW})
    assert by_format.headers["content-type"] == ARROW
    assert by_format.content == by_accept.content
    by_quality = await client.get(path, headers={"accept": f"application/json;q=0.5, {ARROW}"})
    assert by_quality.content == by_format.content
    assert table(by_format).to_pylist() == (await client.get(path)).json()["rows"]


async def test_a_range_of_indices_is_half_open(client: httpx.AsyncClient) -> None:
    path = "/api/datasets/eurusd_1h/ohlcv?start_index=5&end_index=8&columns=close"
    answer = (await client.get(path)).json()
    assert [row["index"] for row in answer["rows"]] == [5, 6, 7]
    assert list(answer["rows"][0]) == ["index", "timestamp_ms", "close"]
    empty = (await client.get("/api/datasets/eurusd_1h/ohlcv?start_index=5&end_index=5")).json()
    assert (empty["rows"], empty["count"]) == ([], 0)


async def test_a_range_of_times_is_half_open(client: httpx.AsyncClient) -> None:
    start, end = FIRST_INDICATOR_MS, FIRST_INDICATOR_MS + 3 * BAR_MS
    path = "/api/datasets/eurusd_1h/indicators"
    answer = await client.get(path, params={"start_ts_ms": start, "end_ts_ms": end})
    assert [row["timestamp_ms"] - start for row in answer.json()["rows"]] == [0, BAR_MS, 2 * BAR_MS]
    since = await client.get(path, params={"start_ts_ms": start + 1, "limit": 1})
    assert since.json()["rows"][0]["index"] == 1
    before = await client.get(path, params={"end_ts_ms": start})
    assert before.json()["rows"] == []


async def test_limit_and_offset_are_of_the_range(client: httpx.AsyncClient) -> None:
    path = "/api/datasets/eurusd_1h/ohlcv?start_index=10&end_index=20"
    page = (await client.get(f"{path}&offset=4&limit=3")).json()
    assert [row["index"] for row in page["rows"]] == [14, 15, 16]
    beyond = (await client.get(f"{path}&offset=11&limit=3")).json()
    assert beyond["rows"] == []
    tail = (await client.get("/api/datasets/eurusd_1h/ohlcv?offset=6224&limit=100")).json()
    assert [row["index"] for row in tail["rows"]] == [6224]


async def test_the_index_map_says_which_index_has_which_time(client: httpx.AsyncClient) -> None:
    path = "/api/datasets/eurusd_1h/index_map?start_idx=0&end_idx=2"
    answer = (await client.get(path)).json()
    assert answer == {
        "measurement": "eurusd_1h_v1_ind_a1",
        "start_index": 0,
        "end_index": 2,
        "rows": [
            {"index": 0, "timestamp_ms": FIRST_INDICATOR_MS},
            {"index": 1, "timestamp_ms": FIRST_INDICATOR_MS + BAR_MS},
        ],
        "count": 2,
    }
    bars = (await client.get("/api/datasets/eurusd_1h/index_map?type=ohlcv&end_idx=1")).json()
    assert bars["rows"] == [{"index": 0, "timestamp_ms": 1_483_308_000_000}]
    whole = table(await client.get("/api/datasets/eurusd_1h/index_map", headers={"accept": ARROW}))
    assert (whole.column_names, whole.num_rows) == (["index", "timestamp_ms"], 6099)


@pytest.mark.parametrize(
    ("query", "named"),
    [
        ("start_index=7000", {"start_index"}),
        ("end_index=6226", {"end_index"}),
        ("start_index=5&end_index=4", {"start_index"}),
        ("start_ts_ms=5&end_ts_ms=4", {"start_ts_ms"}),
    ],
)
async def test_a_range_outside_the_table_is_refused(
    client: httpx.AsyncClient, query: str, named: set[str]
) -> None:
    answer = await client.get(f"/api/datasets/eurusd_1h/ohlcv?{query}")
    assert fields(refusal(answer, 400, "OUT_OF_RANGE")) == named


async def test_indices_and_times_together_are_refused(client: httpx.AsyncClient) -> None:
    answer = await client.get("/api/datasets/eurusd_1h/ohlcv?start_index=1&start_ts_ms=5")
    assert fields(refusal(answer, 400, "INVALID_REQUEST")) == {"start_ts_ms"}


async def test_a_column_that_is_not_there_is_named(client: httpx.AsyncClient) -> None:
    answer = await client.get("/api/datasets/eurusd_1h/ohlcv?columns=close,colour")
    assert answer.status_code == 400
    assert "colour" in answer.json()["error"]


async def test_rows_the_caller_has_are_304_before_any_is_read(client: httpx.AsyncClient) -> None:
    path = "/api/datasets/eurusd_1h/ohlcv?end_index=5"
    first = await client.get(path)
    again = await client.get(path, headers={"if-none-match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    other = await client.get(
        f"{path}&format=arrow", headers={"if-none-match": first.headers["etag"]}
    )
    assert other.status_code == 200
    assert (await client.get(path, headers={"if-none-match": "*"})).status_code == 304


@pytest.mark.parametrize("form", ["json", "csv", "arrow", "parquet"])
async def test_head_is_get_without_the_body(client: httpx.AsyncClient, form: str) -> None:
    path = f"/api/datasets/eurusd_1h/ohlcv?format={form}"
    wanted = (await client.get(path)).headers
    answer = await client.head(path)
    assert (answer.status_code, answer.content) == (200, b"")
    assert {n: answer.headers[n] for n in ("etag", "content-type")} == {
        n: wanted[n] for n in ("etag", "content-type")
    }
    known = await client.head(path, headers={"if-none-match": answer.headers["etag"]})
    assert known.status_code == 304


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/api/datasets/eurusd_1h", 200),
        ("/api/datasets/nobody", 404),
        ("/api/datasets/events", 200),
        ("/docs", 200),
        ("/api/datasets/sniff", 404),
    ],
)
async def test_head_of_any_path_has_the_status_of_get(
    client: httpx.AsyncClient, path: str, status: int
) -> None:
    answer = await client.head(path)
    assert (answer.status_code, answer.content) == (status, b"")


async def test_rows_backwards_begin_with_the_last(client: httpx.AsyncClient) -> None:
    path = "/api/datasets/eurusd_1h/ohlcv?desc=true&columns=close"
    newest = (await client.get(f"{path}&limit=3")).json()
    assert [row["index"] for row in newest["rows"]] == [6224, 6223, 6222]
    older = (await client.get(f"{path}&limit=2&offset=3")).json()
    assert [row["index"] for row in older["rows"]] == [6221, 6220]
    part = (await client.get(f"{path}&start_index=5&end_index=8&limit=10")).json()
    assert [row["index"] for row in part["rows"]] == [7, 6, 5]
    beyond = (await client.get(f"{path}&offset=7000")).json()
    assert beyond["rows"] == []


@pytest.mark.parametrize("by", ["format", "accept"])
async def test_csv_and_parquet_say_the_same_as_json(client: httpx.AsyncClient, by: str) -> None:
    path = "/api/datasets/eurusd_1h/indicators?end_index=200"
    rows = (await client.get(path)).json()["rows"]
    for form, media_type in {"csv": "text/csv", "parquet": PARQUET}.items():
        headers = {"accept": media_type} if by == "accept" else {}
        asked = f"{path}&format={form}" if by == "format" else path
        answer = await client.get(asked, headers=headers)
        assert answer.headers["content-type"].startswith(media_type)
        file = io.BytesIO(answer.content)
        frame = pl.read_csv(file) if form == "csv" else pl.read_parquet(file)
        assert frame.to_dicts() == rows


async def test_no_rows_are_an_empty_file_of_every_format(client: httpx.AsyncClient) -> None:
    path = "/api/datasets/eurusd_1h/ohlcv?start_index=5&end_index=5&columns=close"
    columns = ["index", "timestamp_ms", "close"]
    csv = await client.get(f"{path}&format=csv")
    assert csv.text == ",".join(columns) + "\n"
    parquet = await client.get(f"{path}&format=parquet")
    assert pl.read_parquet(io.BytesIO(parquet.content)).columns == columns


async def test_each_format_has_a_tag_of_its_own(client: httpx.AsyncClient) -> None:
    path = "/api/datasets/eurusd_1h/ohlcv?end_index=5"
    tags = [
        (await client.get(f"{path}&format={form}")).headers["etag"]
        for form in ("json", "csv", "arrow", "parquet")
    ]
    assert len(set(tags)) == 4
