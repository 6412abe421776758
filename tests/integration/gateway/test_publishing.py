"""What the dataset service is told of uploads, and what the caller is told of its answers."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest
from stage1.dataset.v1 import dataset_pb2, import_pb2
from stage1.dataset.v1.dataset_service_pb2_grpc import add_DatasetServiceServicer_to_server

from tests.integration.gateway.house import BARS as BAR_FILE
from tests.integration.gateway.house import fields, gateway, refusal
from tests.integration.gateway.scripted import example, peer
from tests.integration.gateway.told_datasets import ToldDatasets

BARS = {"ohlcv": ("bars.csv", b"the bars")}


@asynccontextmanager
async def before(servicer: ToldDatasets) -> AsyncIterator[httpx.AsyncClient]:
    """A gateway before this service."""
    async with (
        peer(lambda server: add_DatasetServiceServicer_to_server(servicer, server)) as address,
        gateway(dataset_address=address) as client,
    ):
        yield client


async def test_an_append_says_how_to_read_its_files_and_what_it_expects() -> None:
    told = example(ToldDatasets, appended=3)
    files = {**BARS, "indicators": ("C:\\data\\ind.txt", b"the indicators")}
    data = {
        "gap_policy": "reject",
        "expected_version": "1",
        "ohlcv_decimal": ",",
        "ohlcv_format": "metatrader",
        "ohlcv_zone": "Europe/Athens",
        "indicators_member": "b.csv",
    }
    async with before(told) as client:
        answer = await client.post(
            "/api/datasets/a/append", data=data, files=files, headers={"Idempotency-Key": "k"}
        )
    assert answer.status_code == 201, answer.text
    assert (answer.json()["version"], answer.json()["appended_ohlcv_rows"]) == (2, 3)
    assert answer.json()["repeated_ohlcv_rows"] == 5
    header = told.header
    assert (header.dataset, header.idempotency_key, header.expected_version) == ("a", "k", 1)
    assert header.gap_policy == dataset_pb2.GAP_POLICY_REJECT
    bars, indicators = header.parts
    assert (bars.decimal, bars.zone) == (",", "Europe/Athens")
    assert bars.format == import_pb2.ImportPart.FORMAT_METATRADER
    assert (indicators.file_name, indicators.member) == ("ind.txt", "b.csv")
    assert told.uploaded == b"the barsthe indicators"


async def test_an_append_of_nothing_new_is_200() -> None:
    async with before(example(ToldDatasets)) as client:
        answer = await client.post("/api/datasets/a/append", files=BARS)
    assert (answer.status_code, answer.json()["appended_ohlcv_rows"]) == (200, 0)


async def test_indicators_may_be_appended_alone_and_nothing_may_not() -> None:
    told = example(ToldDatasets, appended=1)
    async with before(told) as client:
        empty = await client.post("/api/datasets/a/append", files={"ohlcv_zone": (None, "UTC")})
        assert fields(refusal(empty, 400, "INVALID_REQUEST")) == {"ohlcv"}
        answer = await client.post("/api/datasets/a/append", files={"indicators": ("i", b"rows")})
    assert answer.status_code == 201
    assert [part.table for part in told.header.parts] == [dataset_pb2.TABLE_INDICATORS]


async def test_tables_in_the_store_are_adopted_by_json() -> None:
    told = example(ToldDatasets)
    body = {
        "slug": "b",
        "symbol": "EURUSD",
        "ohlcv_measurement": "old_bars",
        "indicator_measurement": "old_ind",
        "targets": [{"name": "TGT", "horizon_bars": 6}],
        "metadata": {"from": "the old desk"},
        "calendar": "XNYS",
    }
    async with before(told) as client:
        answer = await client.post("/api/datasets", json=body, headers={"Idempotency-Key": "k"})
    assert (answer.status_code, answer.headers["location"]) == (201, "/api/datasets/the-id")
    header = told.header.header
    assert (told.header.ohlcv_measurement, told.header.indicator_measurement) == (
        "old_bars",
        "old_ind",
    )
    assert (header.slug, header.symbol, header.calendar) == ("b", "EURUSD", "XNYS")
    assert (header.idempotency_key, dict(header.metadata)) == ("k", {"from": "the old desk"})
    assert (header.targets[0].name, header.targets[0].horizon_bars) == ("TGT", 6)


async def test_an_export_into_a_dataset_is_a_new_version_of_it() -> None:
    told = example(ToldDatasets)
    async with before(told) as client:
        answer = await client.post("/api/datasets/anything/export", files=BARS)
        adopted = await client.post(
            "/api/datasets/anything/export", json={"ohlcv_measurement": "old"}
        )
    assert (answer.status_code, adopted.status_code) == (201, 201)
    imported, adoption = told.asked
    assert isinstance(imported, import_pb2.ImportHeader)
    assert (imported.slug, imported.dataset_id) == ("the_slug", "the-id")
    assert adoption.header.dataset_id == "the-id"  # type: ignore[attr-defined]


async def test_a_slug_that_is_asked_for_wins_over_that_of_the_manifest() -> None:
    told = example(ToldDatasets)
    manifest = '{"dataset_slug": "old", "symbol": "X", "ohlcv_rows": 7}'
    async with before(told) as client:
        for slug in ("", "new"):
            data = {"manifest": manifest, "slug": slug}
            assert (await client.post("/api/datasets", data=data, files=BARS)).status_code == 201
    old, new = told.asked
    assert isinstance(old, import_pb2.ImportHeader)
    assert isinstance(new, import_pb2.ImportHeader)
    assert (old.slug, old.expected.dataset_slug) == ("old", "old")
    assert (new.slug, new.expected.dataset_slug, new.expected.ohlcv_rows) == ("new", "", 7)


async def test_a_sniff_answers_what_would_be_done() -> None:
    told = example(ToldDatasets)
    async with before(told) as client:
        answer = await client.post(
            "/api/datasets/sniff",
            files={"file": ("a.csv", b"rows")},
            data={
                "unit": "us",
                "rename": '{"close": "Adj Close"}',
                "text_columns": '["code"]',
            },
        )
    found = answer.json()
    assert (found["table"], found["unit"], found["date_order"]) == ("ohlcv", "us", None)
    assert (found["rename"], found["text_columns"]) == ({"close": "Adj Close"}, ["code"])
    assert (found["calendar"], found["first_timestamp_ms"]) == ("24x7", None)
    assert told.uploaded == b"rows"


async def test_an_update_sets_and_takes_away() -> None:
    told = example(ToldDatasets)
    body = {"symbol": "EURUSD", "metadata": {"a": "b", "c": None}}
    async with before(told) as client:
        assert (await client.patch("/api/datasets/a", json=body)).status_code == 200
        refusal(await client.patch("/api/datasets/a", json={}), 400, "INVALID_REQUEST")
        unknown = await client.patch("/api/datasets/a", json={"slug": "b"})
        assert fields(refusal(unknown, 400, "INVALID_REQUEST")) == {"slug"}
    asked = told.header
    assert (asked.symbol, asked.HasField("granularity")) == ("EURUSD", False)
    assert (dict(asked.metadata), list(asked.removed_metadata)) == ({"a": "b"}, ["c"])


@pytest.mark.parametrize(
    ("data", "field"),
    [
        ({"expected_version": "0"}, "expected_version"),
        ({"gap_policy": "guess"}, "gap_policy"),
        ({"ohlcv_decimal": ";"}, "ohlcv_decimal"),
        ({"ohlcv_text_columns": "code"}, "ohlcv_text_columns"),
        ({"slug": "a"}, "slug"),
    ],
)
async def test_a_wrong_field_of_an_append_is_named(data: dict[str, str], field: str) -> None:
    async with before(example(ToldDatasets)) as client:
        answer = await client.post("/api/datasets/a/append", data=data, files=BARS)
    assert field in fields(refusal(answer, 400, "INVALID_REQUEST"))


async def test_a_value_in_json_is_named_with_its_rule() -> None:
    async with before(example(ToldDatasets)) as client:
        data = {"slug": "a", "targets": '[{"name": "TGT", "horizon_bars": 0}]'}
        answer = await client.post("/api/datasets", data=data, files=BARS)
    said = "targets.0.horizon_bars is 0, and must be greater than or equal to 1."
    assert answer.json()["error"] == said


async def test_a_refused_option_of_lone_indicators_is_named_as_theirs(
    client: httpx.AsyncClient,
) -> None:
    files = {"indicators": ("i.txt", b"rows")}
    data = {"indicators_zone": "Mars/Base"}
    for path in ("append", "verify"):
        answer = await client.post(f"/api/datasets/eurusd_1h/{path}", files=files, data=data)
        assert fields(refusal(answer, 400, "INVALID_REQUEST")) == {"indicators_zone"}


async def test_adopted_tables_are_the_same_rows(client: httpx.AsyncClient) -> None:
    body = {
        "slug": "adopted",
        "symbol": "EURUSD",
        "calendar": "24x5_fx",
        "ohlcv_measurement": "eurusd_1h_v1_ohlcv_a1",
        "indicator_measurement": "eurusd_1h_v1_ind_a1",
        "targets": [{"name": name, "horizon_bars": 6} for name in ("TGT_FWD6", "TGT_PLANTED")],
    }
    answer = await client.post("/api/datasets", json=body)
    assert answer.status_code == 201, answer.text
    adopted = (await client.get("/api/datasets/adopted/manifest")).json()
    imported = (await client.get("/api/datasets/eurusd_1h/manifest")).json()
    assert adopted["content_hash"] == imported["content_hash"]
    assert adopted["ohlcv_measurement"] != imported["ohlcv_measurement"]
    gone = {**body, "slug": "gone", "ohlcv_measurement": "nothing_here"}
    assert (await client.post("/api/datasets", json=gone)).status_code == 404


async def test_a_sniff_of_a_real_file_says_what_an_import_does(client: httpx.AsyncClient) -> None:
    with BAR_FILE.open("rb") as file:
        answer = await client.post("/api/datasets/sniff", files={"file": file})
    found = answer.json()
    assert (found["table"], found["format"], found["rows"]) == ("ohlcv", "csv", 6225)
    assert (found["date_order"], found["calendar"]) == ("day_first", "24x5_fx")
    wrong = await client.post(
        "/api/datasets/sniff", files={"file": ("a", b"x")}, data={"zone": "Mars"}
    )
    assert fields(refusal(wrong, 400, "INVALID_REQUEST")) == {"zone"}


async def test_a_sniff_asks_for_what_its_form_has(client: httpx.AsyncClient) -> None:
    rows = [f"0{day}/02/2024,{day},{day},{day},{day},1" for day in range(1, 8)]
    text = "\n".join(["Date,Open,High,Low,Close,Volume", *rows]).encode()
    for path, field in (("sniff", "date_order"), ("eurusd_1h/append", "ohlcv_date_order")):
        files = {"file" if path == "sniff" else "ohlcv": ("a.csv", text)}
        answer = await client.post(f"/api/datasets/{path}", files=files)
        assert answer.json()["error"].startswith(f"{field} ")
        assert [one["field"] for one in answer.json()["details"]["fields"]] == [field]
    empty = await client.post("/api/datasets/sniff", files={"file": ("a.csv", b"")})
    assert fields(refusal(empty, 400, "INVALID_REQUEST")) == {"file"}
