"""What new rows make of a manifest, and how repeated rows are compared."""

from __future__ import annotations

from uuid import UUID

import numpy as np
import pyarrow as pa
import pytest

from services.dataset.domain.columns import Column, ColumnType, Role, Table
from services.dataset.domain.growth import NewRows, grow
from services.dataset.domain.manifest import Manifest
from services.dataset.domain.overlap import RowsDiffer, refuse_difference
from services.dataset.domain.timeline import GapPolicy, TimestampConvention
from services.dataset.domain.times import HOUR_MS, Times
from services.shared.errors import InvalidRequest
from tests.unit.dataset.bars import hourly, no_exchange

TIMES = hourly(9_300)
NOTHING = np.empty(0, np.int64)
# The check values of DOMAIN §3: 9,227 bars, the first indicator at bar 1078, the last at 9220.
BASE = Manifest(
    ohlcv_rows=9_227,
    indicator_rows=8_143,
    lookback_rows=1_078,
    lookahead_rows=6,
    first_ohlcv_timestamp_ms=int(TIMES[0]),
    last_ohlcv_timestamp_ms=int(TIMES[9_226]),
    first_indicator_timestamp_ms=int(TIMES[1_078]),
    last_indicator_timestamp_ms=int(TIMES[9_220]),
    bar_interval_ms=HOUR_MS,
    calendar="24x7",
    timestamp_convention=TimestampConvention.OPEN,
    gap_policy=GapPolicy.REJECT,
    gaps=(),
    version=1,
    dataset_id=UUID(int=1),
    dataset_slug="btc_1h",
    symbol="BTC",
    granularity="1h",
    source="test",
    ohlcv_measurement="btc_1h_v1_ohlcv_a1",
    indicator_measurement="btc_1h_v1_ind_a1",
    columns=(
        Column(name="close", table=Table.OHLCV, type=ColumnType.FLOAT64, role=Role.PRICE),
        Column(
            name="ADX",
            table=Table.INDICATORS,
            type=ColumnType.FLOAT64,
            role=Role.FEATURE,
            null_count=3,
        ),
    ),
    content_hash="0" * 64,
    exported_at_ms=0,
)


def grown(bars: Times, indicators: Times, policy: GapPolicy | None = None) -> Manifest:
    waiting = TIMES[9_221:9_227][: len(indicators)]
    new = NewRows(bars=bars, indicators=indicators, waiting=waiting, nulls={"ADX": 2})
    return grow(BASE, new, policy, no_exchange).manifest


def test_lookback_stays_and_lookahead_is_what_has_no_indicator_row_yet() -> None:
    manifest = grown(TIMES[9_227:9_237], TIMES[9_221:9_233])
    assert (manifest.lookback_rows, manifest.lookahead_rows) == (1_078, 4)
    assert (manifest.ohlcv_rows, manifest.indicator_rows) == (9_237, 8_155)
    assert manifest.last_indicator_timestamp_ms == TIMES[9_232]
    assert [column.null_count for column in manifest.columns] == [0, 5]


def test_new_indicators_without_bars_cover_the_lookahead_and_no_more() -> None:
    assert grown(NOTHING, TIMES[9_221:9_227]).lookahead_rows == 0
    with pytest.raises(InvalidRequest, match="where there is no bar yet"):
        grown(NOTHING, TIMES[9_221:9_228])


def test_gaps_obey_the_policy_of_the_dataset_unless_another_is_given() -> None:
    late = TIMES[9_229:9_231]
    with pytest.raises(InvalidRequest, match="gap_policy is reject, and 2 expected slots"):
        grown(late, NOTHING)
    manifest = grown(late, NOTHING, GapPolicy.MARK)
    assert [(gap.after_ms, gap.missing) for gap in manifest.gaps] == [(TIMES[9_226], 2)]
    assert manifest.gap_policy is GapPolicy.MARK


def batch(times: Times, values: list[float | None]) -> pa.RecordBatch:
    return pa.record_batch({"timestamp_ms": times, "close": pa.array(values, pa.float64())})


def test_the_first_difference_is_named_with_both_values() -> None:
    stored = batch(TIMES[:4], [1.0, 2.0, 3.0, 4.0])
    given = batch(TIMES[1:4], [2.0, 3.5, None])
    with pytest.raises(RowsDiffer, match=r"close at 2024-01-01T02:00:00Z is 3\.5, and .* has 3\.0"):
        refuse_difference(BASE, Table.OHLCV, given, stored)


def test_null_nan_and_the_signs_of_zero_are_no_difference() -> None:
    stored = batch(TIMES[:3], [None, float("nan"), 0.0])
    refuse_difference(BASE, Table.OHLCV, batch(TIMES[:3], [float("nan"), None, -0.0]), stored)


def test_some_of_the_rows_may_come_again_but_no_others() -> None:
    stored = batch(np.delete(TIMES[:4], 2), [1.0, 2.0, 4.0])
    refuse_difference(BASE, Table.OHLCV, batch(TIMES[[0, 3]], [1.0, 4.0]), stored)
    with pytest.raises(InvalidRequest, match="2024-01-01T02:00:00Z, between the rows"):
        refuse_difference(BASE, Table.OHLCV, batch(TIMES[:3], [1.0, 2.0, 3.0]), stored)
