"""Verification: a report at the end, or events on the way to it."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import orjson
import pytest
from stage1.dataset.v1 import dataset_service_pb2 as pb
from stage1.dataset.v1 import import_pb2

from services.shared.errors import DataLoss, NotFound
from tests.integration.gateway.house import BARS, INDICATORS, refusal
from tests.integration.gateway.scripted import example
from tests.integration.gateway.test_publishing import before
from tests.integration.gateway.told_datasets import ToldDatasets

EVENTS = {"accept": "text/event-stream"}
PROGRESS = pb.VerifyDatasetResponse(progress=import_pb2.Progress(rows=5, total_rows=10))
FINDING = import_pb2.Finding(reason="ROW_COUNT", message="9 rows, not 10.", subject="t")
REPORT = pb.VerifyDatasetResponse(
    report=import_pb2.VerifyReport(is_sound=False, findings=[FINDING], rows=10)
)


def events(text: str) -> list[tuple[str, Any]]:
    blocks = [dict(line.split(": ", 1) for line in b.splitlines()) for b in text.split("\n\n") if b]
    return [(block["event"], orjson.loads(block["data"])) for block in blocks]


async def test_the_report_is_the_answer_and_a_finding_no_refusal() -> None:
    told = example(ToldDatasets, PROGRESS, REPORT)
    async with before(told) as client:
        answer = await client.post("/api/datasets/a/verify?version=3&sample_rows=7&partial=1")
    assert answer.status_code == 200, answer.text
    assert (answer.json()["is_sound"], answer.json()["rows"]) == (False, 10)
    assert answer.json()["findings"] == [
        {"reason": "ROW_COUNT", "message": "9 rows, not 10.", "subject": "t"}
    ]
    assert (told.header.dataset, told.header.version, told.header.sample_rows) == ("a", 3, 7)
    assert told.header.partial


async def test_progress_streams_to_who_accepts_events() -> None:
    async with before(example(ToldDatasets, PROGRESS, PROGRESS, REPORT)) as client:
        answer = await client.post("/api/datasets/a/verify", headers=EVENTS)
    assert answer.headers["content-type"].startswith("text/event-stream")
    kinds = [kind for kind, _ in events(answer.text)]
    assert kinds == ["progress", "progress", "report"]
    assert events(answer.text)[0] == ("progress", {"rows": 5, "total_rows": 10})
    assert events(answer.text)[-1][1]["is_sound"] is False


async def test_what_is_refused_at_once_has_its_status() -> None:
    for headers in ({}, EVENTS):
        async with before(example(ToldDatasets, NotFound("There is no a."))) as client:
            answer = await client.post("/api/datasets/a/verify", headers=headers)
            refusal(answer, 404, "NOT_FOUND")


async def test_what_fails_half_way_is_told_as_an_event() -> None:
    lost = DataLoss("The disk is gone.", reason="DISK_GONE")
    async with before(example(ToldDatasets, PROGRESS, lost)) as client:
        answer = await client.post("/api/datasets/a/verify", headers=EVENTS)
    assert events(answer.text)[-1][0] == "refused"
    assert events(answer.text)[-1][1]["details"]["reason"] == "DISK_GONE"


async def test_a_verification_without_a_report_is_no_answer() -> None:
    async with before(example(ToldDatasets, PROGRESS, DataLoss("Gone."))) as client:
        refusal(await client.post("/api/datasets/a/verify"), 500, "DATA_LOSS")


async def test_a_caller_who_leaves_ends_the_verification() -> None:
    told = example(ToldDatasets, PROGRESS, None)
    async with before(told) as client:
        async with client.stream("POST", "/api/datasets/a/verify", headers=EVENTS) as answer:
            async for line in answer.aiter_lines():
                if line.startswith("event"):
                    break
        async with asyncio.timeout(10):
            await told.left.wait()


async def test_a_dataset_is_held_against_its_manifest_and_files(client: httpx.AsyncClient) -> None:
    plain = await client.post("/api/datasets/eurusd_1h/verify")
    assert plain.status_code == 200, plain.text
    assert (plain.json()["is_sound"], plain.json()["findings"]) == (True, [])
    assert plain.json()["rows"] == 6225 + 6099
    manifest = (await client.get("/api/datasets/eurusd_1h/manifest")).json()
    assert plain.json()["content_hash"] == manifest["content_hash"]
    files = {
        "ohlcv": ("b.csv", BARS.read_bytes()),
        "indicators": ("i.txt", INDICATORS.read_bytes()),
    }
    held = await client.post("/api/datasets/eurusd_1h/verify", files=files)
    assert held.status_code == 200, held.text
    assert (held.json()["is_sound"], held.json()["compared_rows"]) == (True, 6225 + 6099)


async def test_a_file_with_another_price_is_a_finding(client: httpx.AsyncClient) -> None:
    changed = BARS.read_bytes().replace(b"1.05227,1.05426", b"1.05228,1.05426", 1)
    assert changed != BARS.read_bytes()
    answer = await client.post(
        "/api/datasets/eurusd_1h/verify", files={"ohlcv": ("b.csv", changed)}
    )
    assert answer.status_code == 200, answer.text
    assert answer.json()["is_sound"] is False
    assert answer.json()["findings"]


async def test_the_store_is_checked_against_the_catalogue(client: httpx.AsyncClient) -> None:
    found = (await client.get("/api/store/check")).json()
    assert (found["is_sound"], found["findings"]) == (True, [])
    assert found["versions"] >= found["datasets"] >= 1


@pytest.mark.parametrize(
    "media_type",
    [
        "multipart/form-data",
        "multipart/form-data; boundary=b",
        "application/x-www-form-urlencoded",
        "application/json",
    ],
)
async def test_no_body_of_whatever_type_is_a_verification_without_files(media_type: str) -> None:
    told = example(ToldDatasets, REPORT)
    async with before(told) as client:
        headers = {"content-type": media_type}
        answer = await client.post("/api/datasets/a/verify", content=b"", headers=headers)
    assert answer.status_code == 200, answer.text
    assert not told.header.parts


async def test_a_type_without_any_length_is_no_body_either() -> None:
    told = example(ToldDatasets, REPORT)
    async with before(told) as client:
        headers = {"content-type": "application/json"}
        request = client.build_request("POST", "/api/datasets/a/verify", headers=headers)
        del request.headers["content-length"]
        answer = await client.send(request)
    assert answer.status_code == 200, answer.text
    assert not told.header.parts


@pytest.mark.parametrize("query", ["sample_rows=7", "partial=true"])
async def test_what_is_said_of_files_is_refused_without_files(
    client: httpx.AsyncClient, query: str
) -> None:
    answer = await client.post(f"/api/datasets/eurusd_1h/verify?{query}")
    refusal(answer, 400, "INVALID_REQUEST")
    said = f"{query.partition('=')[0]} is about files, and there are none."
    assert answer.json()["error"] == said


async def test_a_form_without_parts_is_a_verification_without_files() -> None:
    told = example(ToldDatasets, REPORT)
    async with before(told) as client:
        headers = {"content-type": "multipart/form-data; boundary=b"}
        answer = await client.post("/api/datasets/a/verify", content=b"--b--\r\n", headers=headers)
    assert answer.status_code == 200, answer.text
    assert not told.header.parts
