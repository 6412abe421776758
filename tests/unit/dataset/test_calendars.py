from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.dataset.domain.calendars import CalendarName, calendar_for, gaps, long_pauses
from services.dataset.domain.proposal import propose
from services.dataset.domain.sessions import Slots
from services.dataset.domain.times import DAY_MS, HOUR_MS, MINUTE_MS, WEEK_MS, Times, iso, spacing
from tests.unit.dataset.bars import MONDAY, eurusd_2017, hourly, no_exchange


def ms(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * 1000


def slots(name: str, times: Times, interval_ms: int) -> Slots:
    return calendar_for(name, times, interval_ms, no_exchange).slots(times, interval_ms)


def fx_hours(weeks: int) -> Times:
    """Every hour of so many trading weeks from that of 2024-03-03 on, over the shift to summer."""
    opens = [ms("2024-03-03T22:00"), *(ms(f"2024-03-{10 + 7 * w}T21:00") for w in range(weeks - 1))]
    return np.concatenate([hourly(120, opening) for opening in opens])


def test_the_euro_hours_of_2017_miss_15_slots_all_at_christmas() -> None:
    times = eurusd_2017()
    ordinals, on_slot = slots(CalendarName.FX, times, HOUR_MS)
    found = gaps(ordinals, times)
    assert on_slot.all()
    assert len(times) == 6225
    assert sum(gap.missing for gap in found) == 15
    assert [(iso(gap.after_ms), gap.missing) for gap in found] == [
        ("2017-12-22T21:00:00Z", 1),
        ("2017-12-25T07:00:00Z", 14),
    ]


def test_a_weekend_is_no_gap_whichever_way_the_clocks_shift() -> None:
    times = fx_hours(4)
    ordinals, on_slot = slots(CalendarName.FX, times, HOUR_MS)
    assert on_slot.all()
    assert gaps(ordinals, times) == ()


def test_four_hour_bars_shift_by_an_hour_with_daylight_saving() -> None:
    times = np.array([ms("2024-03-08T18:00"), ms("2024-03-10T21:00"), ms("2024-03-11T01:00")])
    ordinals, on_slot = slots(CalendarName.FX, times, 4 * HOUR_MS)
    assert on_slot.all()
    assert np.diff(ordinals).tolist() == [1, 1]


def test_a_bar_in_the_weekend_is_on_no_slot() -> None:
    times = np.append(fx_hours(1), [ms("2024-03-09T12:00")])
    assert slots(CalendarName.FX, times, HOUR_MS).on_slot.tolist() == [True] * 120 + [False]


def test_daily_currency_bars_carry_their_sessions_date() -> None:
    friday, saturday, monday = ms("2024-03-08"), ms("2024-03-09"), ms("2024-03-11")
    ordinals, on_slot = slots(CalendarName.FX, np.array([friday, saturday, monday]), DAY_MS)
    assert on_slot.tolist() == [True, False, True]
    assert ordinals[2] - ordinals[0] == 1


def test_slots_round_the_clock_may_begin_at_any_hour() -> None:
    times = hourly(10) + 17 * MINUTE_MS
    assert slots(CalendarName.ALWAYS, times, HOUR_MS).on_slot.all()
    times[3] += 1
    assert np.flatnonzero(~slots(CalendarName.ALWAYS, times, HOUR_MS).on_slot).tolist() == [3]


@given(
    st.sets(st.integers(1, 118), max_size=60),
    st.sampled_from([CalendarName.ALWAYS, CalendarName.FX]),
)
def test_the_gaps_are_exactly_the_bars_left_out(left_out: set[int], name: CalendarName) -> None:
    whole = fx_hours(1)
    times = np.delete(whole, sorted(left_out))
    ordinals, _ = slots(name, times, HOUR_MS)
    missing = [
        int(after)
        for gap in gaps(ordinals, times)
        for after in range(gap.after_ms + HOUR_MS, gap.before_ms, HOUR_MS)
    ]
    assert missing == [int(whole[row]) for row in sorted(left_out)]
    assert sum(gap.missing for gap in gaps(ordinals, times)) == len(left_out)


@given(st.integers(-(2**42), 2**42), st.integers(0, 10_000))
def test_whatever_the_years_one_week_holds_120_hourly_slots(first: int, weeks: int) -> None:
    # A Wednesday: further from the weekend than the clocks ever shift.
    wednesday = first // WEEK_MS * WEEK_MS + 6 * DAY_MS + first % DAY_MS
    times = np.array([wednesday, wednesday + weeks * WEEK_MS], dtype=np.int64)
    ordinals, _ = slots(CalendarName.FX, times, HOUR_MS)
    assert abs(int(ordinals[1] - ordinals[0]) - 120 * weeks) <= 1  # the clocks' hour


def test_observed_has_no_gaps_but_long_pauses() -> None:
    times = np.array([0, DAY_MS, 2 * DAY_MS, 9 * DAY_MS])
    ordinals, on_slot = slots(CalendarName.OBSERVED, times, DAY_MS)
    assert on_slot.all()
    assert gaps(ordinals, times) == ()
    assert [pause.after_ms for pause in long_pauses(times, DAY_MS)] == [2 * DAY_MS]


def proposed(times: Times) -> str:
    return propose(times, spacing(times), no_exchange).name


def weekdays(count: int) -> Times:
    days = np.arange(count * 7 // 5 + 7)
    return MONDAY + DAY_MS * days[days % 7 < 5][:count].astype(np.int64)


def test_auto_proposes_what_the_bars_keep() -> None:
    assert proposed(eurusd_2017()) == CalendarName.FX
    assert proposed(hourly(500)) == CalendarName.ALWAYS
    assert proposed(weekdays(250)) == CalendarName.FX
    assert proposed(np.delete(weekdays(250), range(10, 250, 25))) == CalendarName.OBSERVED
    assert proposed(np.delete(hourly(500), 77)) == CalendarName.ALWAYS


def test_auto_says_why() -> None:
    times = eurusd_2017()
    assert propose(times, spacing(times), no_exchange).why == (
        "Every bar lies between Sunday 17:00 and Friday 17:00 of New York, "
        "with 0.24% of those slots empty."
    )


def test_irregular_bars_are_observed() -> None:
    times = np.cumsum(np.arange(1, 50)) * HOUR_MS
    proposal = propose(times, spacing(times), no_exchange)
    assert proposal.name == CalendarName.OBSERVED
    assert "covers only 2% of them" in proposal.why


def test_monthly_bars_are_observed_though_most_months_have_31_days() -> None:
    months = np.arange("2020-01", "2024-01", dtype="datetime64[M]").astype("datetime64[ms]")
    times = months.astype(np.int64)
    assert spacing(times).is_regular
    assert proposed(times) == CalendarName.OBSERVED


@pytest.mark.parametrize("name", list(CalendarName))
def test_slots_are_numbered_upwards(name: CalendarName) -> None:
    ordinals, _ = slots(name, eurusd_2017(), HOUR_MS)
    assert (np.diff(ordinals) >= 1).all()
