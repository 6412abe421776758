"""Rows summed up in buckets, and figures of columns, over gRPC."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from stage1.dataset.v1 import dataset_pb2, import_pb2
from stage1.dataset.v1 import dataset_service_pb2 as pb

from services.shared.arrow_stream import read_ipc
from services.shared.errors import InvalidRequest
from services.shared.rpc.status import refusals
from tests.integration.dataset.client import (
    INDICATORS,
    JOINED,
    OHLCV,
    Client,
    bar_file,
    header_of,
    indicator_file,
)
from tests.unit.dataset.bars import hourly

AGGREGATE = "/stage1.dataset.v1.DatasetService/AggregateBars"
TIMES = hourly(9000)


@pytest.fixture(scope="module")
async def walk(client: Client) -> dataset_pb2.Dataset:
    spread = np.linspace(0, 1, len(TIMES))
    market = np.array(["up", None, "down"] * 2900, dtype=object)
    files = (
        bar_file(TIMES, spread=spread),
        indicator_file(TIMES[100:8800], regime=pa.array(market.tolist())),
    )
    return (await client.publish(header_of("tiles"), *files)).dataset


async def tiles(client: Client, **asked: object) -> pa.Table:
    request = pb.AggregateBarsRequest(dataset="tiles", **asked)  # type: ignore[arg-type]
    parts = [bytes(part) async for part in read_ipc(client.channel, AGGREGATE, request)]
    return pa.ipc.open_stream(b"".join(parts)).read_all()


async def figures(client: Client, **asked: object) -> list[import_pb2.ColumnStatistics]:
    request = pb.DescribeColumnsRequest(dataset="tiles", **asked)  # type: ignore[arg-type]
    with refusals():
        steps = [step async for step in client.stub.DescribeColumns(request)]
    assert steps[0].progress.total_rows in (9000, 8700)
    return [column for step in steps for column in step.columns]


async def test_candles_of_a_table_are_exact(client: Client, walk: dataset_pb2.Dataset) -> None:
    bars = await client.bars("tiles")
    candles = await tiles(client, table=OHLCV, buckets=7, columns=["spread"])
    assert candles.schema.names == [
        *("timestamp_ms", "rows", "open", "high", "low", "close", "volume"),
        *("spread.min", "spread.max"),
    ]
    assert candles["rows"].to_pylist() == [1286] * 6 + [9000 - 6 * 1286]
    for i, candle in enumerate(candles.to_pylist()):
        cut = {name: bars[name].to_numpy()[i * 1286 : (i + 1) * 1286] for name in bars.schema.names}
        assert candle["timestamp_ms"] == cut["timestamp_ms"][0]
        assert (candle["open"], candle["close"]) == (cut["open"][0], cut["close"][-1])
        assert (candle["high"], candle["low"]) == (cut["high"].max(), cut["low"].min())
        assert candle["volume"] == cut["volume"].sum()
        assert candle["spread.max"] == cut["spread"].max()


async def test_a_range_of_times_is_cut_into_buckets(
    client: Client, walk: dataset_pb2.Dataset
) -> None:
    times = pb.TimeRange(start_ms=int(TIMES[10]), end_ms=int(TIMES[20]))
    candles = await tiles(client, table=OHLCV, times=times, buckets=500)
    assert candles["timestamp_ms"].to_pylist() == TIMES[10:20].tolist()
    nothing = pb.TimeRange(start_ms=0, end_ms=1)
    assert (await tiles(client, table=OHLCV, times=nothing, buckets=5)).num_rows == 0


async def test_lines_have_their_reach(client: Client, walk: dataset_pb2.Dataset) -> None:
    lines = await tiles(client, table=INDICATORS, buckets=3, columns=["RSI", "ADX"])
    assert lines.schema.names == [
        *("timestamp_ms", "rows", "RSI.min", "RSI.max", "ADX.min", "ADX.max"),
    ]
    assert sum(lines["rows"].to_pylist()) == 8700


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"table": INDICATORS, "buckets": 5}, "columns is empty"),
        ({"table": OHLCV, "buckets": 0}, "buckets is 0, and 1 to 20000 is allowed"),
        ({"table": JOINED, "buckets": 5}, "table"),
        ({"table": OHLCV, "buckets": 5, "columns": ["RSI"]}, "has RSI, which tiles does not"),
        ({"table": INDICATORS, "buckets": 5, "columns": ["regime"]}, "regime, which hold text"),
        ({"table": OHLCV, "buckets": 5, "columns": ["x"] * 65}, "65 entries, and at most 64"),
    ],
)
async def test_what_cannot_be_summed_up_is_refused(
    client: Client, walk: dataset_pb2.Dataset, asked: dict[str, object], words: str
) -> None:
    with pytest.raises(InvalidRequest, match=words):
        await tiles(client, **asked)


async def test_figures_come_in_the_order_asked_for(
    client: Client, walk: dataset_pb2.Dataset
) -> None:
    regime, rsi = await figures(client, table=INDICATORS, columns=["regime", "RSI"])
    assert (regime.name, regime.type) == ("regime", dataset_pb2.Column.TYPE_STRING)
    assert (regime.null_count, regime.rows, regime.distinct) == (2900, 8700, 2)
    assert not regime.HasField("min")
    assert (rsi.name, rsi.role) == ("RSI", dataset_pb2.Column.ROLE_FEATURE)
    assert len(rsi.quantiles) == 7
    assert (len(rsi.histogram_counts), sum(rsi.histogram_counts)) == (20, 8700)


async def test_without_names_every_column_is_described(
    client: Client, walk: dataset_pb2.Dataset
) -> None:
    found = {column.name: column for column in await figures(client, table=OHLCV, histogram_bins=3)}
    assert list(found) == ["open", "high", "low", "close", "volume", "spread"]
    volume = found["volume"]
    assert (volume.min, volume.max, volume.mean) == (1, 9000, 4500.5)
    assert volume.std == pytest.approx(np.std(np.arange(9000), ddof=1))
    assert list(volume.quantiles) == pytest.approx(
        np.quantile(np.arange(1, 9001), [0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99])
    )
    assert list(volume.histogram_counts) == [3000, 3000, 3000]


async def test_columns_that_are_not_there_are_refused(
    client: Client, walk: dataset_pb2.Dataset
) -> None:
    with pytest.raises(InvalidRequest, match="has MACD, which tiles does not have"):
        await figures(client, table=INDICATORS, columns=["MACD"])
