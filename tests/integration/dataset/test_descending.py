"""Rows with the last one first: the same rows as without, whatever is asked for."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from stage1.dataset.v1 import dataset_pb2
from stage1.dataset.v1 import dataset_service_pb2 as pb

from services.dataset.app import descending
from services.dataset.domain.times import HOUR_MS
from services.shared.errors import InvalidRequest
from tests.integration.dataset.client import (
    INDICATORS,
    JOINED,
    OHLCV,
    READ_BARS,
    Client,
    bar_file,
    header_of,
    indicator_file,
)
from tests.unit.dataset.bars import MONDAY, hourly

TIMES = np.delete(hourly(2000), [700, 701])
COLUMNS = {OHLCV: ["close", "venue"], INDICATORS: ["ADX"], JOINED: ["ADX", "venue", "open"]}


@pytest.fixture(scope="module", autouse=True)
async def backwards(client: Client) -> None:
    venue = pa.array([None if i % 7 == 0 else f"v{i}" for i in range(len(TIMES))])
    bars = bar_file(TIMES, venue=venue)
    await client.publish(header_of("backwards"), bars, indicator_file(TIMES[50:1990]))


async def both_ways(client: Client, request: pb.ReadBarsRequest) -> tuple[pa.Table, pa.Table]:
    ascending = await client.read(READ_BARS, request)
    request.descending = True
    return ascending, await client.read(READ_BARS, request)


@given(
    table=st.sampled_from([OHLCV, INDICATORS, JOINED]),
    ends=st.tuples(st.integers(0, 1940), st.integers(0, 1940)).map(sorted),
    by=st.sampled_from(["indices", "times", "all"]),
    projected=st.booleans(),
    shift_ms=st.integers(-1, 1),
    block_bytes=st.sampled_from([1, 8_000, 40_000, 4 << 20]),
)
@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
async def test_descending_is_ascending_reversed(
    client: Client,
    table: dataset_pb2.Table.ValueType,
    ends: list[int],
    by: str,
    projected: bool,
    shift_ms: int,
    block_bytes: int,
) -> None:
    start, end = ends
    if block_bytes == 1:
        end = min(end, start + 50)
        by = "indices" if by == "all" else by
    request = pb.ReadBarsRequest(dataset="backwards", table=table)
    request.columns.extend(COLUMNS[table] if projected else [])
    if by == "indices":
        request.indices.start, request.indices.end = start, end
    elif by == "times":
        request.times.start_ms = MONDAY + start * HOUR_MS + shift_ms
        request.times.end_ms = MONDAY + end * HOUR_MS + shift_ms
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(descending, "BLOCK_BYTES", block_bytes)
        forwards, backwards = await both_ways(client, request)
    assert backwards.schema == forwards.schema
    assert backwards.to_pylist() == forwards.to_pylist()[::-1]


async def test_the_last_row_comes_first(client: Client) -> None:
    request = pb.ReadBarsRequest(dataset="backwards", table=OHLCV, descending=True)
    table = await client.read(READ_BARS, request)
    assert table["index"].to_pylist() == list(range(1997, -1, -1))
    assert table["timestamp_ms"][0].as_py() == int(TIMES[-1])


async def test_a_range_is_checked_backwards_too(client: Client) -> None:
    request = pb.ReadBarsRequest(dataset="backwards", table=OHLCV, descending=True)
    request.indices.start, request.indices.end = 0, 1999
    with pytest.raises(InvalidRequest) as caught:
        await client.read(READ_BARS, request)
    assert caught.value.reason == "OUT_OF_RANGE"
