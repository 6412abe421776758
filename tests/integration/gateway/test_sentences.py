"""What the framework finds wrong is told in our own sentences: the value, and the rule."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from tests.integration.gateway.house import gateway, refusal

FILE = ("bars.csv", b"x")


@pytest.fixture(scope="module")
async def alone() -> AsyncIterator[httpx.AsyncClient]:
    """A gateway with nobody behind it."""
    async with gateway() as client:
        yield client


def told(answer: httpx.Response) -> dict[str, str]:
    details = refusal(answer, 400, "INVALID_REQUEST")
    return {one["field"]: one["message"] for one in details["fields"]}


@pytest.mark.parametrize("path", ["/api/runs", "/api/simulations", "/api/datasets"])
async def test_an_idempotency_key_is_as_long_as_it_may_be(
    alone: httpx.AsyncClient, path: str
) -> None:
    answer = await alone.post(path, json={}, headers={"Idempotency-Key": "k" * 129})
    message = told(answer)["Idempotency-Key"]
    assert message == "has 129 characters, and at most 128 are allowed"


@pytest.mark.parametrize(
    ("path", "field"),
    [
        ("/api/datasets", "ohlcv"),
        ("/api/datasets", "indicators"),
        ("/api/datasets/a/export", "ohlcv"),
        ("/api/datasets/a/append", "indicators"),
        ("/api/datasets/a/verify", "ohlcv"),
        ("/api/datasets/sniff", "file"),
    ],
)
async def test_a_text_where_a_file_belongs_is_told_as_such(
    alone: httpx.AsyncClient, path: str, field: str
) -> None:
    form = {"zone" if field == "file" else "ohlcv_zone": (None, "UTC"), field: (None, "bars.csv")}
    message = told(await alone.post(path, files=form))[field]
    assert message == "is the text 'bars.csv', and must be a file"


async def test_a_long_text_where_a_file_belongs_is_told_by_its_beginning(
    alone: httpx.AsyncClient,
) -> None:
    answer = await alone.post("/api/datasets", files={"ohlcv": (None, "1;2;3;4\n" * 500)})
    message = told(answer)["ohlcv"]
    assert message.startswith("is the text '1;2;3;4")
    assert message.endswith("…, and must be a file")
    assert len(message) < 120


async def test_a_file_where_a_text_belongs_is_told_as_such(alone: httpx.AsyncClient) -> None:
    answer = await alone.post("/api/datasets", files={"ohlcv": FILE, "symbol": FILE})
    assert told(answer)["symbol"] == "is a file (bars.csv), and must be a text"


@pytest.mark.parametrize(
    ("change", "field", "message"),
    [
        ({"name": "n" * 201}, "name", "has 201 characters, and at most 200 are allowed"),
        ({"dataset": None}, "dataset", "must be a valid string"),
        ({"nmae": "x"}, "nmae", "is not known here"),
        ({"version": 0}, "version", "is 0, and must be greater than or equal to 1"),
    ],
)
async def test_a_field_of_json_is_told_with_its_rule(
    alone: httpx.AsyncClient, change: dict[str, Any], field: str, message: str
) -> None:
    answer = await alone.post("/api/runs", json={"dataset": "a", **change})
    assert told(answer) == {field: message}


@pytest.mark.parametrize(
    ("change", "field", "message"),
    [
        (
            {"ohlcv_measurement": ""},
            "ohlcv_measurement",
            "has 0 characters, and at least 1 is needed",
        ),
        (
            {"targets": [{"name": "a"}] * 2001},
            "targets",
            "has 2001 entries, and at most 2000 are allowed",
        ),
    ],
)
async def test_too_many_and_too_few_are_counted(
    alone: httpx.AsyncClient, change: dict[str, Any], field: str, message: str
) -> None:
    asked = {"slug": "a", "symbol": "X", "ohlcv_measurement": "old", **change}
    assert told(await alone.post("/api/datasets", json=asked)) == {field: message}


async def test_a_field_that_is_no_json_says_where(alone: httpx.AsyncClient) -> None:
    data = {"metadata": "{"}
    message = told(await alone.post("/api/datasets", files={"ohlcv": FILE}, data=data))["metadata"]
    assert message.startswith("is not JSON: ")
    assert "line 1" in message
