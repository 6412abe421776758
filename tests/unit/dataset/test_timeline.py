from __future__ import annotations

from dataclasses import replace
from typing import Final

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.dataset.domain import timeline
from services.dataset.domain.alignment import Alignment, align
from services.dataset.domain.calendars import CalendarName, Gap
from services.dataset.domain.timeline import (
    MAX_GAPS,
    Clock,
    GapPolicy,
    Reading,
    Timeline,
    TimestampConvention,
    extend,
)
from services.dataset.domain.times import DAY_MS, HOUR_MS, Times
from services.shared.errors import InvalidRequest
from tests.unit.dataset.bars import hourly, no_exchange

FX_WEEK: Final = 1_709_503_200_000  # Sunday 2024-03-03 17:00 in New York


def read_timeline(ohlcv: Times, indicators: Times | None, clock: Clock) -> Reading:
    return timeline.read_timeline(ohlcv, indicators, clock, no_exchange)


def refusal(ohlcv: Times, indicators: Times | None = None, clock: Clock | None = None) -> str:
    with pytest.raises(InvalidRequest) as caught:
        read_timeline(ohlcv, indicators, clock or Clock())
    return str(caught.value)


def test_lookback_and_lookahead_come_from_looking_up_indices() -> None:
    bars = hourly(9227)
    assert align(bars, bars[1078:9221]) == Alignment(1078, 6)


def test_without_indicators_every_bar_is_lookback() -> None:
    read = read_timeline(hourly(50), None, Clock()).timeline
    assert (read.lookback_rows, read.indicator_rows, read.lookahead_rows) == (50, 0, 0)
    assert read.first_indicator_timestamp_ms is None


@given(st.data())
def test_any_run_of_bars_aligns_where_it_was_cut_out(data: st.DataObject) -> None:
    steps = data.draw(st.lists(st.integers(1, 10**9), min_size=2, max_size=50))
    bars = np.cumsum(np.array(steps, dtype=np.int64))
    start = data.draw(st.integers(0, len(bars) - 1))
    end = data.draw(st.integers(start + 1, len(bars)))
    assert align(bars, bars[start:end]) == Alignment(start, len(bars) - end)


@given(st.data())
def test_any_indicator_row_moved_off_its_bar_is_refused(data: st.DataObject) -> None:
    bars = hourly(40)
    indicators = bars[5:35].copy()
    row = data.draw(st.integers(0, len(indicators) - 1))
    indicators[row] += data.draw(st.integers(1, HOUR_MS - 1))
    with pytest.raises(InvalidRequest, match=rf"row {row} at .* where there is no bar|leave out"):
        align(bars, indicators)


def test_a_bar_without_its_indicator_row_is_named() -> None:
    bars = hourly(20)
    message = refusal(bars, np.delete(bars, 7))
    assert message == (
        "indicators leave out the bar at 2024-01-01T07:00:00Z: "
        "after row 6 comes row 7 at 2024-01-01T08:00:00Z."
    )


def test_indicators_after_the_last_bar_are_named() -> None:
    assert "row 5 at 2024-01-01T20:00:00Z, after the last bar" in refusal(
        hourly(20), hourly(21)[15:]
    )


def test_indicators_before_the_first_bar_are_named() -> None:
    bars = hourly(20)
    assert "indicators have row 0 at 2024-01-01T00:00:00Z, where" in refusal(bars[1:], bars[:5])


def test_gaps_are_marked_and_warned_of() -> None:
    bars = np.delete(hourly(20), [4, 5])
    reading = read_timeline(bars, bars[3:], Clock(calendar=CalendarName.ALWAYS))
    assert [(gap.missing, gap.after_ms) for gap in reading.timeline.gaps] == [(2, int(bars[3]))]
    assert reading.warnings == (
        "In the bars 2 expected slots have no bar: "
        "2 between 2024-01-01T03:00:00Z and 2024-01-01T06:00:00Z.",
    )


def test_gaps_are_refused_by_policy() -> None:
    clock = Clock(calendar=CalendarName.ALWAYS, gap_policy=GapPolicy.REJECT)
    message = refusal(np.delete(hourly(20), 4), None, clock)
    assert message.startswith("gap_policy is reject, and 1 expected slot has no bar")
    assert read_timeline(hourly(20), None, clock).timeline.gaps == ()


def test_more_gaps_than_can_be_listed_are_refused() -> None:
    bars = np.delete(hourly(200_000), np.arange(1, 199_999, 3))
    message = refusal(bars, None, Clock(calendar=CalendarName.ALWAYS))
    assert "66666 gaps, and at most 50000 are kept" in message


def test_bars_off_the_slots_are_refused_with_their_times() -> None:
    message = refusal(hourly(200), None, Clock(calendar=CalendarName.FX))
    assert "calendar is 24x5_fx, but 48 bars are on none of its slots: bar 118 at" in message


def test_irregular_bars_need_the_observed_calendar() -> None:
    bars = np.cumsum(np.arange(1, 50)) * HOUR_MS
    assert "at least half are needed" in refusal(bars, None, Clock(calendar=CalendarName.ALWAYS))
    observed = read_timeline(bars, None, Clock(calendar=CalendarName.OBSERVED))
    assert observed.timeline.calendar == CalendarName.OBSERVED


def test_long_pauses_of_observed_bars_are_told() -> None:
    bars = hourly(200)
    bars[120:] += 10 * DAY_MS
    reading = read_timeline(bars, None, Clock(calendar=CalendarName.OBSERVED))
    assert reading.timeline.gaps == ()
    assert reading.warnings == (
        "There are 1 long pauses, the longest from 2024-01-05T23:00:00Z to 2024-01-16T00:00:00Z.",
    )


def test_weekly_bars_cannot_be_counted_by_the_currency_week() -> None:
    bars = np.arange(30) * 7 * DAY_MS
    assert "at most a day" in refusal(bars, None, Clock(calendar=CalendarName.FX))


def test_bars_stamped_at_their_close_are_on_the_slots_they_opened_in() -> None:
    opens = hourly(120, FX_WEEK)
    closes = opens + HOUR_MS
    clock = Clock(calendar=CalendarName.FX, convention=TimestampConvention.CLOSE)
    assert read_timeline(closes, None, clock).timeline.first_ohlcv_timestamp_ms == closes[0]
    assert "bar 119" in refusal(closes, None, Clock(calendar=CalendarName.FX))


@pytest.mark.parametrize(
    ("bars", "words"),
    [
        (hourly(1), "has 1 rows, and at least 2 are needed"),
        (hourly(5)[[0, 1, 1, 2]], "row 2, not after 2024-01-01T01:00:00Z of the row before"),
        (hourly(5)[[0, 2, 1, 3]], "row 2, not after"),
        (hourly(5, 1_704_067_200_000_000), "outside the years 1800 to 2200"),
    ],
)
def test_times_that_are_no_times_of_bars_are_refused(bars: Times, words: str) -> None:
    assert words in refusal(bars)


def test_both_tables_are_judged_in_one_answer() -> None:
    message = refusal(hourly(1), hourly(0))
    assert "ohlcv has 1 rows" in message
    assert "indicators has 0 rows" in message


def known_hours(name: CalendarName, bars: Times) -> Timeline:
    return read_timeline(bars, None, Clock(calendar=name)).timeline


@given(st.sets(st.integers(2, 118), max_size=30), st.integers(1, 120), st.booleans())
def test_bars_added_later_leave_the_gaps_they_would_have_left_at_once(
    left_out: set[int], cut: int, is_fx: bool
) -> None:
    bars = np.delete(hourly(120, FX_WEEK), sorted(left_out))
    at_once = known_hours(CalendarName.FX if is_fx else CalendarName.ALWAYS, bars)
    last = int(bars[:cut][-1])
    known = replace(
        at_once,
        last_ohlcv_timestamp_ms=last,
        gaps=tuple(gap for gap in at_once.gaps if gap.before_ms <= last),
    )
    added = extend(known, bars[cut:], GapPolicy.MARK, no_exchange)
    assert (*known.gaps, *added.gaps) == at_once.gaps


def test_added_bars_keep_the_phase_of_those_that_are_there() -> None:
    known = known_hours(CalendarName.ALWAYS, hourly(50))
    later = hourly(50, int(hourly(50)[-1]) + HOUR_MS + 60_000)
    with pytest.raises(InvalidRequest, match=r"50 bars are on none of its slots: bar 0 at"):
        extend(known, later, GapPolicy.MARK, no_exchange)


@pytest.mark.parametrize(
    ("added", "policy", "words"),
    [
        (hourly(3)[::-1] + 100 * HOUR_MS, GapPolicy.MARK, "in row 1, not after"),
        (hourly(3) + 49 * HOUR_MS, GapPolicy.MARK, "not after the last bar at 2024-01-03T01"),
        (hourly(3) + 52 * HOUR_MS, GapPolicy.REJECT, "2 expected slots have no bar: 2 between"),
    ],
)
def test_added_bars_that_break_a_rule_are_refused(
    added: Times, policy: GapPolicy, words: str
) -> None:
    known = known_hours(CalendarName.ALWAYS, hourly(50))
    with pytest.raises(InvalidRequest, match=words):
        extend(known, added, policy, no_exchange)


def test_a_gap_before_the_first_added_bar_is_marked_and_told() -> None:
    known = known_hours(CalendarName.ALWAYS, hourly(50))
    gaps, warnings = extend(known, hourly(3) + 52 * HOUR_MS, GapPolicy.MARK, no_exchange)
    assert [(gap.missing, gap.after_ms) for gap in gaps] == [(2, known.last_ohlcv_timestamp_ms)]
    assert warnings[0].startswith("In the bars 2 expected slots have no bar")


def test_nothing_added_leaves_no_gap() -> None:
    known = known_hours(CalendarName.ALWAYS, hourly(50))
    assert extend(known, hourly(0), GapPolicy.REJECT, no_exchange) == ((), ())


def test_gaps_of_all_appends_together_must_fit_into_the_manifest() -> None:
    known = known_hours(CalendarName.ALWAYS, hourly(50))
    full = replace(known, gaps=(Gap(after_ms=0, before_ms=9, missing=1),) * MAX_GAPS)
    assert extend(full, hourly(3) + 50 * HOUR_MS, GapPolicy.MARK, no_exchange).gaps == ()
    with pytest.raises(InvalidRequest, match=r"50001 gaps, and at most 50000 are kept"):
        extend(full, hourly(3) + 51 * HOUR_MS, GapPolicy.MARK, no_exchange)
