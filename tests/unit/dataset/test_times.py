from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.dataset.domain.times import (
    DAY_MS,
    HOUR_MS,
    disorder,
    duration,
    first,
    iso,
    outside_years,
    parse_duration,
    spacing,
)
from tests.unit.dataset.bars import hourly


def test_the_interval_is_the_most_frequent_distance() -> None:
    times = np.delete(hourly(10), [4, 7])
    assert spacing(times).interval_ms == HOUR_MS
    assert spacing(times).share == pytest.approx(5 / 7)


def test_of_equally_frequent_distances_the_least_counts() -> None:
    assert spacing(np.array([0, 30, 40, 70, 80])).interval_ms == 10


def test_half_of_the_distances_make_a_regular_spacing() -> None:
    assert spacing(np.array([0, 10, 20, 31, 43])).is_regular
    assert not spacing(np.array([0, 10, 20, 31, 43, 56])).is_regular


@given(st.integers(min_value=1, max_value=10**12))
def test_a_duration_is_read_as_it_is_written(milliseconds: int) -> None:
    assert parse_duration(duration(milliseconds)) == milliseconds


@pytest.mark.parametrize(
    ("milliseconds", "text"), [(4 * HOUR_MS, "4h"), (DAY_MS, "1d"), (90_000, "90s"), (1, "1ms")]
)
def test_durations_are_short(milliseconds: int, text: str) -> None:
    assert duration(milliseconds) == text


@pytest.mark.parametrize("text", ["", "h", "H1", "4 h", "four", "-1h", "1M", "²h"])
def test_other_texts_are_no_durations(text: str) -> None:
    assert parse_duration(text) is None


def test_times_before_1970_are_ordinary() -> None:
    assert iso(-1) == "1969-12-31T23:59:59.999Z"
    assert first(outside_years(np.array([-5_364_662_400_000, 7_289_654_399_999]))) is None
    assert first(outside_years(np.array([0, 7_289_654_400_000]))) == 1


@given(st.lists(st.integers(-(2**40), 2**40), min_size=1, max_size=40))
def test_every_row_not_after_its_predecessor_is_in_disorder(times: list[int]) -> None:
    repeated, backward = disorder(np.array(times, dtype=np.int64))
    pairs = list(pairwise(times))
    assert repeated.tolist() == [False, *(b == a for a, b in pairs)]
    assert backward.tolist() == [False, *(b < a for a, b in pairs)]
