"""What callers see when a service fails half-way."""

from __future__ import annotations

import asyncio

import httpx
import orjson
import pytest
from grpc.aio import AioRpcError

from services.shared.errors import Unavailable
from services.shared.rpc import status
from tests.integration.gateway.house import gateway, refusal
from tests.integration.gateway.scripted import (
    BATCH,
    DEADLINE,
    HEARTBEAT,
    ROWS,
    ManyBars,
    ManyFolds,
    ToldRun,
    bars,
    example,
    peer,
    run,
    state,
)


@pytest.mark.parametrize("form", ["json", "csv", "arrow", "parquet"])
async def test_rows_that_fail_half_way_are_cut_off_and_never_look_whole(form: str) -> None:
    async with (
        peer(bars(example(ManyBars, fails_after=50 * BATCH))) as address,
        gateway(dataset_address=address) as client,
    ):
        with pytest.raises(httpx.RemoteProtocolError):
            await client.get(f"/api/datasets/a/ohlcv?format={form}")


@pytest.mark.parametrize("form", ["json", "csv", "arrow", "parquet"])
async def test_rows_that_cannot_be_read_at_all_are_refused_and_not_cut_off(form: str) -> None:
    async with (
        peer(bars(example(ManyBars, fails_after=0))) as address,
        gateway(dataset_address=address) as client,
    ):
        answer = await client.get(f"/api/datasets/a/ohlcv?format={form}")
    details = refusal(answer, 500, "DATA_LOSS")
    assert details["request_id"]
    assert answer.json()["error"] == "The stored rows are not what was written."


async def test_a_caller_who_leaves_stops_the_reading() -> None:
    servicer = example(ManyBars)
    async with (
        peer(bars(servicer)) as address,
        gateway(dataset_address=address) as client,
    ):
        async with client.stream("GET", "/api/datasets/a/ohlcv?format=arrow") as answer:
            await anext(answer.aiter_raw())
        assert (await client.get("/livez")).status_code == 200
    assert servicer.sent_rows < ROWS


async def test_the_request_id_reaches_the_service() -> None:
    servicer = example(ManyBars)
    async with (
        peer(bars(servicer)) as address,
        gateway(dataset_address=address) as client,
    ):
        path = "/api/datasets/a/ohlcv?limit=1"
        answer = await client.get(path, headers={"x-request-id": "over-there"})
    assert (answer.status_code, servicer.request_ids) == (200, ["over-there"])


@pytest.mark.parametrize("after", [0, 1, 3 << 20])
async def test_a_refusal_in_the_middle_of_an_upload_keeps_its_reason(after: int) -> None:
    async with (
        peer(bars(example(ManyBars, refuses_after=after))) as address,
        gateway(dataset_address=address) as client,
    ):
        for _ in range(10):
            files = {"ohlcv": ("bars.csv", bytes(20 << 20))}
            refusal(await client.post("/api/datasets", files=files), 500, "DISK_GONE")


async def test_events_go_on_over_the_deadline_of_a_watch() -> None:
    servicer = example(
        ToldRun,
        [state(1, "QUEUED"), HEARTBEAT, state(2, "RUNNING"), DEADLINE],
        [state(3, "COMPLETED")],
    )
    async with peer(run(servicer)) as address, gateway(runs_address=address) as client:
        answer = await client.get("/api/runs/r/events")
    told = [line for line in answer.text.splitlines() if line.startswith(("id", ":"))]
    assert told == ["id: 1", ": heartbeat", "id: 2", "id: 3"]
    assert servicer.asked_after == [0, 2]


async def test_events_of_a_service_that_goes_away_are_cut_off() -> None:
    servicer = example(ToldRun, [state(1, "QUEUED"), Unavailable("Stopping.")])
    async with peer(run(servicer)) as address, gateway(runs_address=address) as client:
        with pytest.raises(httpx.RemoteProtocolError):
            await client.get("/api/runs/r/events")


@pytest.mark.parametrize("path", ["/api/runs/r", "/api/runs/r/folds"])
async def test_folds_go_out_while_later_ones_are_still_asked_for(path: str) -> None:
    servicer = example(ManyFolds, 250)
    async with (
        peer(run(servicer)) as address,
        gateway(runs_address=address) as client,
        asyncio.timeout(30),
        client.stream("GET", path) as answer,
    ):
        pieces = answer.aiter_bytes()
        begin = await anext(pieces)
        assert b'"fold_number":0,' in begin
        assert b'"fold_number":100,' not in begin
        servicer.may_go_on.set()
        found = orjson.loads(begin + b"".join([piece async for piece in pieces]))
    assert [fold["fold_number"] for fold in found["folds"]] == list(range(250))
    assert [fold["metrics"]["n_judged"] for fold in found["folds"]] == list(range(250))
    assert found.get("count", 250) == 250


@pytest.mark.parametrize("count", [0, 1, 100])
async def test_folds_of_one_page_have_an_etag(count: int) -> None:
    servicer = example(ManyFolds, count)
    async with peer(run(servicer)) as address, gateway(runs_address=address) as client:
        for path in ("/api/runs/r", "/api/runs/r/folds"):
            answer = await client.get(path)
            assert len(answer.json()["folds"]) == count
            known = {"if-none-match": answer.headers["etag"]}
            assert (await client.get(path, headers=known)).status_code == 304


async def test_a_browser_that_leaves_ends_the_watch() -> None:
    servicer = example(ToldRun, [state(1, "QUEUED"), None])
    async with peer(run(servicer)) as address, gateway(runs_address=address) as client:
        async with client.stream("GET", "/api/runs/r/events") as answer:
            async for line in answer.aiter_lines():
                if line == "id: 1":
                    break
        async with asyncio.timeout(10):
            await servicer.left.wait()


def test_a_status_of_the_transport_is_no_status_of_a_service() -> None:
    lost = AioRpcError(
        status.code_of(Unavailable("")), None, None, "failed to connect to all addresses"
    )
    assert isinstance(status.from_call(lost), Unavailable)
