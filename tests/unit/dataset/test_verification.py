"""Checks of rows against what is recorded of them, and against files."""

from __future__ import annotations

from dataclasses import replace
from uuid import UUID

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.dataset.domain.calendars import Gap
from services.dataset.domain.columns import Column, ColumnType, Role, Table
from services.dataset.domain.comparison import FileComparison, differing
from services.dataset.domain.findings import Finding
from services.dataset.domain.manifest import Manifest
from services.dataset.domain.sessions import Sessions
from services.dataset.domain.time_checks import AlignmentCheck, SlotCheck
from services.dataset.domain.timeline import GapPolicy, TimestampConvention
from services.dataset.domain.times import HOUR_MS, Times
from services.dataset.domain.verification import Expected, TableCheck, columns_differ
from services.shared.canonical import TableHasher
from tests.unit.dataset.bars import MONDAY, hourly

COLUMNS = (
    Column(name="close", table=Table.OHLCV, type=ColumnType.FLOAT64, role=Role.PRICE, null_count=3),
    Column(name="market", table=Table.OHLCV, type=ColumnType.STRING, role=Role.EXTRA),
)


def rows(times: Times) -> pa.Table:
    closes = np.arange(len(times)) / 7
    closes[[1, 5, 6]] = np.nan
    market = [f"m{i % 3}" for i in range(len(times))]
    close = pa.array(closes, from_pandas=True)
    return pa.table({"timestamp_ms": times, "close": close, "market": market})


def expected_of(table: pa.Table) -> Expected:
    times = table["timestamp_ms"].to_numpy()
    known = Expected(
        table="t",
        rows=len(times),
        first_ms=int(times[0]),
        last_ms=int(times[-1]),
        columns=COLUMNS,
        block_hashes=(),
    )
    hasher = TableHasher(known.hashed)
    for batch in table.to_batches():
        hasher.update(batch)
    return replace(known, block_hashes=hasher.finish().block_hashes)


GOOD = rows(hourly(100))
EXPECTED = expected_of(GOOD)


def checked(table: pa.Table, expected: Expected = EXPECTED, *, cut: int = 30) -> list[Finding]:
    check = TableCheck(expected)
    for batch in table.to_batches(max_chunksize=cut):
        check.update(batch)
    return check.finish()[1]


def reasons(findings: list[Finding]) -> set[str]:
    return {finding.reason for finding in findings}


def with_value(table: pa.Table, name: str, row: int, value: object) -> pa.Table:
    values = table[name].to_pylist()
    values[row] = value
    array = pa.array(values, table.schema.field(name).type)
    return table.set_column(table.column_names.index(name), name, array)


def test_rows_as_they_were_published_are_sound() -> None:
    assert checked(GOOD) == checked(GOOD, cut=1) == []


def test_a_lost_row_is_counted_and_placed() -> None:
    findings = checked(pa.concat_tables([GOOD.slice(0, 40), GOOD.slice(41)]))
    assert reasons(findings) == {"ROW_COUNT", "BLOCK_HASH"}
    assert "99 rows are there, and 100 were published" in findings[0].message


def test_lost_ends_change_the_bounds() -> None:
    assert "BOUNDS" in reasons(checked(GOOD.slice(1)))
    assert "BOUNDS" in reasons(checked(GOOD.slice(0, 99)))


def test_no_rows_at_all_are_a_count_and_no_crash() -> None:
    assert reasons(checked(GOOD.slice(0, 0))) == {"ROW_COUNT", "NULL_COUNT", "BLOCK_HASH"}


def test_a_time_out_of_order_is_named_even_between_batches() -> None:
    swapped = with_value(GOOD, "timestamp_ms", 30, MONDAY + 29 * HOUR_MS)
    (order,) = [f for f in checked(swapped, cut=30) if f.reason == "ORDER"]
    assert order.message == "1 rows (2024-01-02T05:00:00Z) are not after the row before."


def test_a_time_that_is_none_is_told_as_it_is() -> None:
    strange = with_value(GOOD, "timestamp_ms", 99, 2**62)
    (bounds,) = [f for f in checked(strange) if f.reason == "BOUNDS"]
    assert f"{2**62} ms" in bounds.message


@settings(deadline=None)
@given(row=st.integers(0, 99), name=st.sampled_from(["close", "market"]))
def test_any_changed_value_is_found(row: int, name: str) -> None:
    changed = with_value(GOOD, name, row, -1.0 if name == "close" else "x")
    assert "BLOCK_HASH" in reasons(checked(changed))


def test_null_and_nan_are_the_same() -> None:
    nan = with_value(GOOD, "close", 5, float("nan"))
    assert nan["close"].null_count == 2
    assert checked(nan) == []


def test_missing_values_are_counted_column_by_column() -> None:
    (nulls,) = [f for f in checked(with_value(GOOD, "market", 3, None)) if f.reason == "NULL_COUNT"]
    assert nulls.subject == "market"
    assert "has 1 missing values, and 0 were published" in nulls.message


def test_the_first_block_that_differs_is_placed() -> None:
    long = rows(hourly(150_000))
    expected = expected_of(long)
    (block,) = checked(with_value(long, "close", 140_000, 0.5), expected, cut=50_000)
    assert block.reason == "BLOCK_HASH"
    assert "1 blocks" in block.message
    assert "the rows from 131072 on" in block.message


def test_columns_of_another_type_are_named() -> None:
    schema = GOOD.schema.set(1, pa.field("close", pa.int64()))
    (finding,) = columns_differ(EXPECTED, schema)
    assert "'close' as int64" in finding.message
    assert columns_differ(EXPECTED, GOOD.schema) == []


def no_sessions(code: str, first_ms: int, last_ms: int) -> Sessions:
    raise AssertionError(f"Nobody asked for {code}.")


def manifest_of(times: Times, **changes: object) -> Manifest:
    known = Manifest(
        version=1,
        dataset_id=UUID(int=1),
        dataset_slug="d",
        symbol="S",
        granularity="1h",
        source="",
        ohlcv_measurement="d_v1_ohlcv_a1",
        indicator_measurement="d_v1_ind_a1",
        columns=COLUMNS,
        content_hash="0" * 64,
        exported_at_ms=0,
        ohlcv_rows=len(times),
        indicator_rows=len(times) - 12,
        lookback_rows=10,
        lookahead_rows=2,
        first_ohlcv_timestamp_ms=int(times[0]),
        last_ohlcv_timestamp_ms=int(times[-1]),
        first_indicator_timestamp_ms=int(times[10]),
        last_indicator_timestamp_ms=int(times[-3]),
        bar_interval_ms=HOUR_MS,
        calendar="24x7",
        timestamp_convention=TimestampConvention.OPEN,
        gap_policy=GapPolicy.MARK,
        gaps=(),
    )
    return replace(known, **changes)  # type: ignore[arg-type]


def slots_of(manifest: Manifest, times: Times, cut: int) -> list[Finding]:
    check = SlotCheck(manifest, no_sessions)
    for start in range(0, len(times), cut):
        check.update(times[start : start + cut])
    return list(check.finish())


@pytest.mark.parametrize("cut", [1, 7, 1000])
def test_gaps_are_found_also_between_batches(cut: int) -> None:
    times = np.delete(hourly(100), [7, 8, 50])
    gaps = tuple(
        Gap(after_ms=MONDAY + a * HOUR_MS, before_ms=MONDAY + b * HOUR_MS, missing=b - a - 1)
        for a, b in ((6, 9), (49, 51))
    )
    assert slots_of(manifest_of(times, gaps=gaps), times, cut) == []
    (one,) = slots_of(manifest_of(times, gaps=gaps[:1]), times, cut)
    assert one.reason == "GAPS"
    assert "leave 2 gaps" in one.message
    assert "the first difference is gap 1" in one.message


@pytest.mark.parametrize("cut", [1, 10, 1000])
def test_bars_off_the_slots_of_the_first_are_found_in_every_batch(cut: int) -> None:
    times = hourly(100)
    times[60:] += 1
    findings = slots_of(manifest_of(hourly(100)), times, cut)
    (off_slot,) = [f for f in findings if f.reason == "OFF_SLOT"]
    assert off_slot.message.startswith("40 bars (2024-01-03T12:00:00.001Z")
    assert "and 20 more" in off_slot.message


def test_times_that_are_none_do_not_upset_the_calendar() -> None:
    times = hourly(100)
    times[50] = 2**62
    findings = slots_of(manifest_of(hourly(100), calendar="24x5_fx"), times, 30)
    assert "OFF_SLOT" in reasons(findings)


def test_every_indicator_row_is_held_against_its_bar() -> None:
    check = AlignmentCheck(manifest_of(hourly(100)))
    bars = hourly(100)[10:98]
    check.update(bars, bars)
    assert list(check.finish()) == []
    shifted = bars.copy()
    shifted[80:] += HOUR_MS
    check.update(shifted, bars)
    (finding,) = check.finish()
    assert finding.reason == "ALIGNMENT"
    assert finding.message.startswith("8 indicator rows (")


def compared(
    file: pa.Table, sample: int = 0, cut: int = 30, *, is_partial: bool = False
) -> FileComparison:
    comparison = FileComparison(EXPECTED, file, sample, is_partial=is_partial)
    for batch in GOOD.to_batches(max_chunksize=cut):
        comparison.update(batch)
    return comparison


@pytest.mark.parametrize("sample", [0, 1, 2, 50, 100, 1000])
def test_the_file_a_version_was_made_of_is_equal(sample: int) -> None:
    comparison = compared(GOOD, sample)
    assert list(comparison.finish()) == []
    assert comparison.compared_rows == (sample if 0 < sample < 100 else 100)


@settings(deadline=None)
@given(start=st.integers(0, 99), length=st.integers(1, 100), cut=st.integers(1, 40))
def test_a_partial_file_may_cover_a_part_only(start: int, length: int, cut: int) -> None:
    part = GOOD.slice(start, length)
    comparison = compared(part, cut=cut, is_partial=True)
    assert list(comparison.finish()) == []
    assert comparison.compared_rows == part.num_rows


@settings(deadline=None)
@given(
    start=st.integers(0, 99),
    length=st.integers(1, 99),
    cut=st.integers(1, 40),
    sample=st.integers(0, 100),
)
def test_every_row_that_a_file_lacks_is_counted(
    start: int, length: int, cut: int, sample: int
) -> None:
    part = GOOD.slice(start, length)
    findings = list(compared(part, sample, cut).finish())
    if part.num_rows == 100:
        assert findings == []
        return
    (finding,) = findings
    assert finding.reason == "FILE_ROWS_EXTRA"
    assert finding.message.startswith(f"{100 - part.num_rows} rows of the version (")


def test_a_file_that_ends_early_says_which_rows_it_lacks() -> None:
    (finding,) = compared(GOOD.slice(0, 98)).finish()
    assert finding.message == (
        "2 rows of the version (2024-01-05T02:00:00Z, 2024-01-05T03:00:00Z) are not in the file, "
        "which holds 98 rows from 2024-01-01T00:00:00Z to 2024-01-05T01:00:00Z."
    )


def test_a_partial_file_may_not_lack_a_row_in_between() -> None:
    holed = pa.concat_tables([GOOD.slice(10, 30), GOOD.slice(41, 20)])
    (finding,) = compared(holed, 5, is_partial=True).finish()
    assert finding.message.startswith("1 rows of the version (2024-01-02T16:00:00Z) are not in")


def test_rows_that_only_one_of_them_has_are_named() -> None:
    without = pa.concat_tables([GOOD.slice(0, 40), GOOD.slice(41)])
    (extra,) = compared(without).finish()
    assert extra.reason == "FILE_ROWS_EXTRA"
    assert "1 rows of the version (2024-01-02T16:00:00Z)" in extra.message
    more = pa.concat_tables([GOOD, rows(hourly(130)).slice(100)])
    (missing,) = compared(more).finish()
    assert missing.reason == "FILE_ROWS_MISSING"
    assert missing.message.startswith("30 rows of the file (2024-01-05T04:00:00Z")
    assert "and 10 more" in missing.message


def test_other_values_are_counted_and_the_first_shown() -> None:
    closes = GOOD["close"].to_pylist()
    closes[10:40] = [float(i) for i in range(30)]
    other = GOOD.set_column(1, "close", pa.array(closes))
    (finding,) = compared(other).finish()
    assert finding.reason == "FILE_ROWS_DIFFER"
    assert finding.message.startswith(
        "30 rows have other values: 2024-01-01T10:00:00Z: close is 0.0"
    )
    assert finding.message.count("in the store") == 20
    assert finding.message.endswith("and 10 more.")


def test_columns_that_only_one_of_them_has_are_named() -> None:
    renamed = GOOD.rename_columns(["timestamp_ms", "close", "venue"])
    messages = [finding.message for finding in compared(renamed).finish()]
    assert messages == [
        "1 columns ('market') of the version are not in the file.",
        "1 columns ('venue') of the file are not in the version.",
    ]


def test_values_differ_but_for_null_nan_and_the_sign_of_zero() -> None:
    left = pa.array([1.0, None, float("nan"), 0.0, 1.0, None])
    right = pa.array([1.0, float("nan"), None, -0.0, 2.0, 1.0])
    assert differing(left, right).tolist() == [False, False, False, False, True, True]
    left, right = pa.array(["a", None, "", None]), pa.array(["a", None, None, "b"])
    assert differing(left, right).tolist() == [False, False, True, True]
    assert differing(pa.array([1.0]), pa.array(["1"])).tolist() == [True]
