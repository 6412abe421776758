"""Columns whose names or values are awkward, from the file through the store and out again."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import httpx
import orjson
import polars as pl
import pytest

from gateway.cli.__main__ import run
from gateway.cli.exit_codes import ExitCode
from tests.integration.gateway.house import fields, refusal

DAY_MS = 86_400_000
FIRST_MS = 1_704_067_200_000
NAME = 'a,b "c"'


def bars(first: int, count: int, code: str) -> bytes:
    rows = [
        f"{FIRST_MS + day * DAY_MS},{day + 1},{day + 1},{day + 1},{day + 1},{day},{code},{day}"
        for day in range(first, first + count)
    ]
    head = 'timestamp_ms,open,high,low,close,volume,code,"a,b ""c"""'
    return "\n".join([head, *rows]).encode()


@pytest.fixture
async def grown(client: httpx.AsyncClient) -> Any:
    """Its text is numbers only in the later part."""
    if (known := await client.get("/api/datasets/grown/manifest")).status_code == 200:
        return known.json()
    told = {"slug": "grown", "symbol": "X", "calendar": "observed"}
    files = {"ohlcv": ("a.csv", bars(0, 20, "A"))}
    made = await client.post("/api/datasets", data=told, files=files)
    assert made.status_code == 201, made.text
    later = {"ohlcv": ("b.csv", bars(20, 20, "001"))}
    added = await client.post("/api/datasets/grown/append", files=later)
    assert added.status_code == 201, added.text
    return (await client.get("/api/datasets/grown/manifest")).json()


async def test_text_that_looks_like_numbers_stays_text_when_it_is_said(
    client: httpx.AsyncClient,
) -> None:
    told = {"slug": "coded", "symbol": "X", "calendar": "observed"}
    for text, expected in (("", 1.0), ('["code"]', "001")):
        data = {**told, "slug": f"coded_{len(text)}", "ohlcv_text_columns": text}
        files = {"ohlcv": ("a.csv", bars(0, 20, "001"))}
        made = await client.post("/api/datasets", data=data, files=files)
        assert made.status_code == 201, made.text
        path = f"/api/datasets/{data['slug']}/ohlcv?columns=code&limit=1"
        assert (await client.get(path)).json()["rows"][0]["code"] == expected


@pytest.mark.parametrize("form", ["parquet", "csv", "arrow"])
async def test_what_was_exported_is_imported_and_verified_again(
    client: httpx.AsyncClient, grown: Any, form: str, tmp_path: Path
) -> None:
    folder, url = tmp_path / "out", ["--url", str(client.base_url)]
    file = str(folder / f"ohlcv.{form}")
    manifest = ["--manifest", str(folder / "manifest.json")]
    told = ["--symbol", "X", "--calendar", "observed", "--ohlcv-text-columns", "code"]
    for command in (
        ["export", "grown", str(folder), "--format", form],
        ["import", f"again_{form}", "--ohlcv", file, *manifest],
        ["verify", "grown", "--ohlcv", file],
        ["import", f"said_{form}", "--ohlcv", file, *told],
    ):
        assert await asyncio.to_thread(run, ["dataset", *command, *url]) == ExitCode.OK
    assert orjson.loads((folder / "manifest.json").read_bytes()) == grown
    for name in (f"again_{form}", f"said_{form}"):
        held = (await client.get(f"/api/datasets/{name}/manifest")).json()
        assert held["content_hash"] == grown["content_hash"]


@pytest.mark.parametrize("form", ["parquet", "csv", "arrow"])
async def test_awkward_text_comes_back_in_every_format(
    client: httpx.AsyncClient, form: str, tmp_path: Path
) -> None:
    texts = ["", None, " s ", "a,b", 'say "x"', "'", "é", "NA", "-"] * 2
    day = list(range(1, len(texts) + 1))
    prices = {name: [float(d) for d in day] for name in ("open", "high", "low", "close")}
    stamps = {"timestamp_ms": [FIRST_MS + d * DAY_MS for d in day]}
    source = tmp_path / "source.parquet"
    pl.DataFrame({**stamps, **prices, " F 1 ": prices["open"], "note": texts}).write_parquet(source)
    folder, url = tmp_path / "out", ["--url", str(client.base_url)]
    manifest = ["--manifest", str(folder / "manifest.json")]
    for command in (
        ["import", f"awkward_{form}", "--ohlcv", str(source), "--symbol", "X"],
        ["export", f"awkward_{form}", str(folder), "--format", form],
        ["import", f"tamed_{form}", "--ohlcv", str(folder / f"ohlcv.{form}"), *manifest],
        ["verify", f"awkward_{form}", "--ohlcv", str(source)],
    ):
        assert await asyncio.to_thread(run, ["dataset", *command, *url]) == ExitCode.OK


@pytest.mark.usefixtures("grown")
async def test_a_column_with_commas_in_its_name_is_read_by_its_name(
    client: httpx.AsyncClient,
) -> None:
    path = "/api/datasets/grown/ohlcv"
    asked: Any
    for asked, found in (
        (NAME, [NAME]),
        ([NAME, "close"], [NAME, "close"]),
        (["open,close", NAME], ["open", "close", NAME]),
        ("open,close", ["open", "close"]),
    ):
        answer = await client.get(path, params={"columns": asked, "limit": 1})
        assert answer.status_code == 200, answer.text
        assert set(answer.json()["rows"][0]) == {"index", "timestamp_ms", *found}
    described = await client.get("/api/datasets/grown/columns", params={"columns": NAME})
    assert [column["name"] for column in described.json()["columns"]] == [NAME]
    unknown = await client.get(path, params={"columns": ["close", "a,colour"]})
    assert fields(refusal(unknown, 400, "UNKNOWN_COLUMN")) == {"columns"}
