from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from services.dataset.domain.tiles import ROWS, Buckets, first, last, least, most, total

MEASURES = [
    first("timestamp_ms", "timestamp_ms"),
    first("open", "v"),
    most("high", "v"),
    least("low", "v"),
    last("close", "v"),
    total("sum", "v"),
]
whole = st.integers(-(2**40), 2**40).map(float)  # of which sums are exact in any order
values = st.none() | st.just(math.nan) | whole


def tiles_of(column: list[float | None], buckets: int, cuts: list[int]) -> dict[str, list[object]]:
    times = pa.array(range(100, 100 + len(column)), pa.int64())
    table = pa.record_batch({"timestamp_ms": times, "v": pa.array(column, pa.float64())})
    summed = Buckets(MEASURES, rows=len(column), buckets=buckets)
    found: dict[str, list[object]] = {name: [] for name in (ROWS, *(m.name for m in MEASURES))}
    edges = [0, *sorted(cut % (len(column) + 1) for cut in cuts), len(column)]
    parts = [table.slice(a, b - a) for a, b in pairwise(edges)]
    for full in (*(summed.add(part) for part in parts), summed.finish()):
        for name, array in full.items():
            found[name] += pa.array(array, from_pandas=True).to_pylist()
    return found


def naive(column: list[float | None], buckets: int) -> dict[str, list[object]]:
    size = max(1, math.ceil(len(column) / buckets))
    found: dict[str, list[object]] = {name: [] for name in (ROWS, *(m.name for m in MEASURES))}
    for start in range(0, len(column), size):
        cut = [None if v is None or math.isnan(v) else v for v in column[start : start + size]]
        known = [v for v in cut if v is not None]
        found[ROWS].append(len(cut))
        found["timestamp_ms"].append(100 + start)
        found["open"].append(cut[0])
        found["high"].append(max(known, default=None))
        found["low"].append(min(known, default=None))
        found["close"].append(cut[-1])
        found["sum"].append(sum(known) if known else None)
    return found


@settings(deadline=None)  # pyarrow loads pandas with its first array
@given(
    st.lists(values, max_size=60), st.integers(1, 70), st.lists(st.integers(0, 1000), max_size=6)
)
def test_tiles_are_what_a_loop_over_the_rows_says_however_these_are_cut(
    column: list[float | None], buckets: int, cuts: list[int]
) -> None:
    assert tiles_of(column, buckets, cuts) == naive(column, buckets)


@settings(deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 20_000))
def test_there_are_at_most_as_many_buckets_as_asked_for_and_no_row_is_lost(
    rows: int, buckets: int
) -> None:
    found = tiles_of([0.0] * rows, buckets, [])
    counts = found[ROWS]
    assert len(counts) <= buckets
    assert sum(np.array(counts, dtype=np.int64)) == rows
    assert len(set(counts[:-1])) <= 1
    if rows <= buckets:
        assert counts == [1] * rows


def test_a_candle_has_the_first_open_the_extremes_and_the_last_close() -> None:
    found = tiles_of([5.0, 9.0, 1.0, 7.0, 3.0], 2, [])
    assert {name: column[0] for name, column in found.items()} == {
        "timestamp_ms": 100,
        ROWS: 3,
        "open": 5.0,
        "high": 9.0,
        "low": 1.0,
        "close": 1.0,
        "sum": 15.0,
    }


def test_a_bucket_of_nothing_but_nulls_is_null() -> None:
    found = tiles_of([None, math.nan, 2.0], 2, [])
    assert [found[name][0] for name in ("high", "low", "sum")] == [None, None, None]
    assert [found[name][1] for name in ("high", "low", "sum")] == [2.0, 2.0, 2.0]
