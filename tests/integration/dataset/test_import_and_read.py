"""From files to a manifest and back to rows, over gRPC."""

from __future__ import annotations

import gzip
import io

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from stage1.dataset.v1 import dataset_pb2, import_pb2
from stage1.dataset.v1 import dataset_service_pb2 as pb

from services.dataset.domain.times import HOUR_MS
from services.shared.errors import Conflict, InvalidRequest, NotFound
from tests.integration.dataset.client import (
    BARS_10K,
    INDICATORS,
    JOINED,
    OHLCV,
    READ_BARS,
    READ_INDEX_MAP,
    Client,
    bar_file,
    euro_files,
    header_of,
    indicator_file,
)
from tests.unit.dataset.bars import EXAMPLES, hourly

LOOKBACK, END = 1078, 9221
TIMES = hourly(9227)


@pytest.fixture(scope="module")
async def euro(client: Client) -> pb.ImportDatasetResponse:
    return await client.publish(header_of("eurusd_1h"), *euro_files())


@pytest.fixture(scope="module")
async def walk(client: Client) -> dataset_pb2.Dataset:
    """9,227 bars of which indicators cover those from 1078 to 9220."""
    files = bar_file(TIMES), indicator_file(TIMES[LOOKBACK:END])
    return (await client.publish(header_of("walk"), *files)).dataset


async def test_the_manifest_says_what_the_euro_files_hold(
    euro: pb.ImportDatasetResponse,
) -> None:
    manifest = euro.dataset.manifest
    assert manifest.bar_interval_ms == HOUR_MS
    assert manifest.calendar == "24x5_fx"
    assert (manifest.ohlcv_rows, manifest.indicator_rows) == (6225, 6099)
    assert (manifest.lookback_rows, manifest.lookahead_rows) == (120, 6)
    assert sum(gap.missing for gap in manifest.gaps) == 15
    assert manifest.granularity == "1h"
    assert (manifest.version, euro.dataset.version) == (1, 1)
    assert manifest.ohlcv_measurement == "eurusd_1h_v1_ohlcv_a1"
    assert manifest.indicator_measurement == "eurusd_1h_v1_ind_a1"


async def test_the_report_gives_every_column_its_role(euro: pb.ImportDatasetResponse) -> None:
    roles = {column.name: column.role for column in euro.report.columns}
    assert len(roles) == 5 + 24
    assert roles["close"] == dataset_pb2.Column.ROLE_PRICE
    assert roles["RSI_14"] == dataset_pb2.Column.ROLE_FEATURE
    assert roles["TGT_FWD6"] == roles["TGT_PLANTED"] == dataset_pb2.Column.ROLE_TARGET


async def test_the_report_tells_what_was_decided_and_what_is_missing(
    euro: pb.ImportDatasetResponse,
) -> None:
    notes = " ".join(euro.report.notes)
    assert "ohlcv: 6225 rows read as csv." in notes
    assert "indicators: 6099 rows read as tssb_database." in notes
    assert "Calendar 24x5_fx: Every bar lies between Sunday 17:00" in notes
    assert any("15 expected slots have no bar" in warning for warning in euro.report.warnings)
    assert euro.report.missing_slots == 15


async def test_every_value_of_the_files_can_be_read_back(
    client: Client, euro: pb.ImportDatasetResponse
) -> None:
    bars = await client.read(READ_BARS, pb.ReadBarsRequest(dataset="eurusd_1h", table=OHLCV))
    file = pl.read_csv(EXAMPLES / "eurusd_1h_2017_ask.csv")
    assert bars["index"].to_pylist() == list(range(6225))
    assert bars["close"].to_pylist() == file["Close"].to_list()
    assert bars["volume"].to_pylist() == file["Volume"].to_list()
    request = pb.ReadBarsRequest(dataset=euro.dataset.dataset_id, table=INDICATORS)
    indicators = await client.read(READ_BARS, request)
    rows = pl.read_csv(EXAMPLES / "eurusd_1h_2017_indicators.txt", separator=" ")
    assert indicators["TGT_FWD6"].to_pylist() == rows["TGT_FWD6"].to_list()


async def test_lookback_and_lookahead_are_looked_up(walk: dataset_pb2.Dataset) -> None:
    assert (walk.manifest.lookback_rows, walk.manifest.lookahead_rows) == (1078, 6)


async def test_joined_rows_are_indicator_rows_with_their_bars(
    client: Client, walk: dataset_pb2.Dataset
) -> None:
    joined = await client.read(READ_BARS, pb.ReadBarsRequest(dataset="walk", table=JOINED))
    bars = await client.read(READ_BARS, pb.ReadBarsRequest(dataset="walk", table=OHLCV))
    indicators = await client.read(READ_BARS, pb.ReadBarsRequest(dataset="walk", table=INDICATORS))
    assert joined.column_names[:4] == ["index", "timestamp_ms", "ohlcv_index", "open"]
    assert joined["index"].to_pylist() == list(range(END - LOOKBACK))
    assert joined["ohlcv_index"].to_pylist() == list(range(LOOKBACK, END))
    assert joined["close"].to_pylist() == bars["close"].slice(LOOKBACK, END - LOOKBACK).to_pylist()
    assert joined["RSI"].to_pylist() == indicators["RSI"].to_pylist()
    assert joined["timestamp_ms"].to_pylist() == TIMES[LOOKBACK:END].tolist()


@pytest.mark.parametrize(
    ("table", "first"), [(OHLCV, 0), (INDICATORS, LOOKBACK), (JOINED, LOOKBACK)]
)
async def test_an_index_range_is_half_open(
    client: Client, walk: dataset_pb2.Dataset, table: dataset_pb2.Table.ValueType, first: int
) -> None:
    span = pb.IndexRange(start=100, end=4500)
    request = pb.ReadBarsRequest(dataset="walk", table=table, indices=span)
    rows = await client.read(READ_BARS, request)
    assert rows["index"].to_pylist() == list(range(100, 4500))
    assert rows["timestamp_ms"].to_pylist() == TIMES[first + 100 : first + 4500].tolist()


@pytest.mark.parametrize("table", [OHLCV, INDICATORS, JOINED])
async def test_a_time_range_is_half_open_and_cut_at_the_tables_ends(
    client: Client, walk: dataset_pb2.Dataset, table: dataset_pb2.Table.ValueType
) -> None:
    inside = pb.TimeRange(start_ms=int(TIMES[2000]), end_ms=int(TIMES[2003]))
    request = pb.ReadBarsRequest(dataset="walk", table=table, times=inside)
    rows = await client.read(READ_BARS, request)
    assert rows["timestamp_ms"].to_pylist() == TIMES[2000:2003].tolist()
    wide = pb.TimeRange(start_ms=0, end_ms=int(TIMES[LOOKBACK + 2]) - 1)
    request = pb.ReadBarsRequest(dataset="walk", table=table, times=wide)
    first = 0 if table == OHLCV else LOOKBACK
    rows = await client.read(READ_BARS, request)
    assert rows["timestamp_ms"].to_pylist() == TIMES[first : LOOKBACK + 2].tolist()


async def test_an_empty_range_has_columns_and_no_rows(
    client: Client, walk: dataset_pb2.Dataset
) -> None:
    span = pb.IndexRange(start=5, end=5)
    request = pb.ReadIndexMapRequest(dataset="walk", table=OHLCV, indices=span)
    rows = await client.read(READ_INDEX_MAP, request)
    assert rows.schema.names == ["index", "timestamp_ms"]
    assert rows.num_rows == 0


async def test_columns_come_in_the_order_asked_for_after_index_and_time(
    client: Client, walk: dataset_pb2.Dataset
) -> None:
    request = pb.ReadBarsRequest(
        dataset="walk", table=JOINED, columns=["TGT_6", "timestamp_ms", "close", "RSI", "TGT_6"]
    )
    rows = await client.read(READ_BARS, request)
    assert rows.column_names == ["index", "timestamp_ms", "ohlcv_index", "TGT_6", "close", "RSI"]
    request = pb.ReadBarsRequest(dataset="walk", table=OHLCV, columns=["close", "open"])
    rows = await client.read(READ_BARS, request)
    assert rows.column_names == ["index", "timestamp_ms", "close", "open"]


async def test_a_join_without_columns_of_bars_still_says_which_bar(
    client: Client, walk: dataset_pb2.Dataset
) -> None:
    request = pb.ReadBarsRequest(dataset="walk", table=JOINED, columns=["RSI"])
    rows = await client.read(READ_BARS, request)
    assert rows.column_names == ["index", "timestamp_ms", "ohlcv_index", "RSI"]
    assert rows["ohlcv_index"].to_pylist() == list(range(LOOKBACK, END))


async def test_the_index_map_gives_each_row_its_time(
    client: Client, walk: dataset_pb2.Dataset
) -> None:
    request = pb.ReadIndexMapRequest(dataset="walk", table=INDICATORS)
    rows = await client.read(READ_INDEX_MAP, request)
    assert rows.schema.names == ["index", "timestamp_ms"]
    assert rows["timestamp_ms"].to_pylist() == TIMES[LOOKBACK:END].tolist()


async def test_boundaries_are_resolved_in_both_directions(
    client: Client, walk: dataset_pb2.Dataset
) -> None:
    indices = [8142, 0, 4000, 4000]
    request = pb.ResolveBoundariesRequest(dataset="walk", table=INDICATORS, indices=indices)
    answer = await client.stub.ResolveBoundaries(request)
    assert list(answer.times_ms) == [int(TIMES[LOOKBACK + i]) for i in indices]
    times = [int(TIMES[LOOKBACK + 7]), int(TIMES[LOOKBACK + 7]) + 1, 0, int(TIMES[-1])]
    request = pb.ResolveBoundariesRequest(dataset="walk", table=INDICATORS, times_ms=times)
    answer = await client.stub.ResolveBoundaries(request)
    assert list(answer.indices) == [7, 8, 0, END - LOOKBACK]


async def test_boundaries_outside_the_table_are_refused(
    client: Client, walk: dataset_pb2.Dataset
) -> None:
    request = pb.ResolveBoundariesRequest(dataset="walk", table=OHLCV, indices=[9227])
    with pytest.raises(InvalidRequest, match=r"the rows \[0, 9227\)") as caught:
        await client.ask(client.stub.ResolveBoundaries(request))
    assert caught.value.reason == "OUT_OF_RANGE"


@pytest.mark.parametrize(
    ("span", "words"),
    [
        (pb.IndexRange(start=-1, end=5), r"\[-1, 5\)"),
        (pb.IndexRange(start=5, end=4), r"\[5, 4\)"),
        (pb.IndexRange(start=0, end=8144), r"the rows \[0, 8143\)"),
    ],
)
async def test_rows_outside_the_table_are_refused(
    client: Client, walk: dataset_pb2.Dataset, span: pb.IndexRange, words: str
) -> None:
    request = pb.ReadBarsRequest(dataset="walk", table=JOINED, indices=span)
    with pytest.raises(InvalidRequest, match=words):
        await client.read(READ_BARS, request)


async def test_unknown_columns_are_refused_by_name(
    client: Client, walk: dataset_pb2.Dataset
) -> None:
    request = pb.ReadBarsRequest(dataset="walk", table=OHLCV, columns=["close", "RSI", "x"])
    with pytest.raises(InvalidRequest, match="has RSI, x, which walk does not have") as caught:
        await client.read(READ_BARS, request)
    assert caught.value.reason == "UNKNOWN_COLUMN"


async def test_unknown_datasets_and_versions_are_not_found(
    client: Client, walk: dataset_pb2.Dataset
) -> None:
    with pytest.raises(NotFound, match="There is no dataset nothing"):
        await client.bars("nothing")
    with pytest.raises(NotFound, match="no version 2 of a dataset walk"):
        await client.bars("walk", 2)
    nobody = "00000000-0000-0000-0000-000000000001"
    with pytest.raises(NotFound, match=nobody):
        await client.ask(client.stub.GetManifest(pb.GetManifestRequest(dataset=nobody)))


async def test_bars_alone_make_a_dataset_too(client: Client) -> None:
    answer = await client.publish(header_of("bars_only", OHLCV), bar_file(BARS_10K))
    manifest = answer.dataset.manifest
    assert (manifest.lookback_rows, manifest.indicator_rows, manifest.lookahead_rows) == (
        10_000,
        0,
        0,
    )
    assert manifest.indicator_measurement == ""
    assert not manifest.HasField("first_indicator_timestamp_ms")
    assert (await client.bars("bars_only")).num_rows == 10_000
    with pytest.raises(Conflict, match="bars only") as caught:
        await client.read(READ_BARS, pb.ReadBarsRequest(dataset="bars_only", table=JOINED))
    assert caught.value.reason == "NO_INDICATORS"


async def test_parquet_and_compressed_text_hold_the_same_rows_as_arrow(client: Client) -> None:
    times = hourly(300)
    arrow = bar_file(times)
    table = pa.ipc.open_stream(arrow).read_all()
    parquet, text = io.BytesIO(), io.BytesIO()
    pq.write_table(table, parquet)
    pl.DataFrame(pl.from_arrow(table)).write_csv(text)
    files = {"arrow": arrow, "parquet": parquet.getvalue(), "csv": gzip.compress(text.getvalue())}
    hashes = set()
    for name, file in files.items():
        answer = await client.publish(header_of(f"as_{name}", OHLCV), file, cut=1000)
        hashes.add(answer.dataset.manifest.content_hash)
    assert len(hashes) == 1


async def test_nulls_stay_nulls_and_are_counted(client: Client) -> None:
    times = hourly(100)
    holes = np.where(np.arange(80) % 10 == 5, np.nan, np.arange(80.0))
    file = indicator_file(times[10:90], HOLES=holes)
    answer = await client.publish(header_of("holes"), bar_file(times), file)
    counts = {column.name: column.null_count for column in answer.report.columns}
    assert (counts["HOLES"], counts["RSI"]) == (8, 0)
    request = pb.ReadBarsRequest(dataset="holes", table=INDICATORS, columns=["HOLES"])
    rows = await client.read(READ_BARS, request)
    assert rows["HOLES"].null_count == 8
    assert rows["HOLES"][5].as_py() is None


async def test_the_order_names_targets_and_their_horizons(client: Client) -> None:
    header = header_of("targets")
    header.targets.append(import_pb2.Target(name="ADX", horizon_bars=12))
    times = hourly(100)
    answer = await client.publish(header, bar_file(times), indicator_file(times))
    columns = {column.name: column for column in answer.report.columns}
    assert columns["ADX"].role == dataset_pb2.Column.ROLE_TARGET
    assert columns["ADX"].horizon_bars == 12
    assert columns["TGT_6"].role == dataset_pb2.Column.ROLE_FEATURE


async def test_a_warning_tells_of_a_target_in_disguise(client: Client) -> None:
    header = header_of("disguise")
    times = hourly(100)
    twin = np.random.default_rng(8).normal(size=(3, 100))[2] * 2
    answer = await client.publish(header, bar_file(times), indicator_file(times, TWIN=twin))
    warnings = " ".join(answer.report.warnings)
    assert "'TWIN' has a correlation of 1.000000 with 'TGT_6'" in warnings


async def test_a_target_without_values_at_its_end_looks_at_least_that_far_ahead(
    client: Client,
) -> None:
    times = hourly(300)
    label = pa.array([0.5] * 1 + [float(i % 7) for i in range(269)] + [None] * 30)
    files = bar_file(times), indicator_file(times, TGT_30=label)
    answer = await client.publish(header_of("shifted"), *files)
    (target,) = (c for c in answer.dataset.manifest.columns if c.name == "TGT_30")
    assert target.horizon_bars == 30
    assert any("TGT_30 has no value in its last 30 rows" in w for w in answer.report.warnings)


async def test_a_horizon_beyond_the_rows_is_refused(client: Client) -> None:
    times = hourly(300)
    header = header_of("far")
    header.targets.add(name="ADX", horizon_bars=300)
    with pytest.raises(InvalidRequest, match="only 300 indicator rows"):
        await client.publish(header, bar_file(times), indicator_file(times))
