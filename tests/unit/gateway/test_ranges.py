from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.http import ranges
from gateway.http.schemas.datasets import BarsQuery
from services.shared.errors import InvalidRequest

rows = st.integers(0, 10_000)


@given(rows, rows, rows, st.none() | rows)
def test_a_page_is_what_a_slice_of_the_rows_is(
    start: int, length: int, offset: int, limit: int | None
) -> None:
    wanted = range(start, start + length)
    end = None if limit is None else offset + limit
    assert list(ranges.page(wanted, offset, limit)) == list(wanted)[offset:end]


def test_bounds_left_out_are_those_of_the_table() -> None:
    assert ranges.of_indices(None, None, 9, names=ranges.INDEX) == range(9)
    assert ranges.of_indices(4, None, 9, names=ranges.INDEX) == range(4, 9)


def test_a_bound_of_zero_is_not_a_bound_left_out() -> None:
    assert ranges.of_indices(0, 0, 9, names=ranges.INDEX) == range(0)


def test_every_bound_outside_the_table_is_named() -> None:
    with pytest.raises(InvalidRequest) as caught:
        ranges.of_indices(10, 11, 9, names=ranges.IDX)
    assert [v.field for v in caught.value.violations] == ["start_idx", "end_idx"]
    assert "[0, 9)" in str(caught.value)


def test_a_range_that_ends_before_it_starts_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="after end_index 3"):
        ranges.of_indices(4, 3, 9, names=ranges.INDEX)


def test_indices_and_times_together_are_refused() -> None:
    with pytest.raises(InvalidRequest, match="together"):
        ranges.has_times(BarsQuery(start_index=0, end_ts_ms=5))


def test_times_before_1970_are_times() -> None:
    assert ranges.has_times(BarsQuery(start_ts_ms=-5))
    assert not ranges.has_times(BarsQuery(start_index=0))


@given(st.integers(0, 20), st.integers(0, 20), st.integers(0, 30), st.none() | st.integers(0, 30))
def test_a_page_backwards_is_a_page_of_the_reversed_rows(
    start: int, length: int, offset: int, limit: int | None
) -> None:
    rows = range(start, start + length)
    stop = None if limit is None else offset + limit
    wanted = list(reversed(rows))[offset:stop]
    assert list(reversed(ranges.page(rows, offset, limit, backwards=True))) == wanted
