"""Trading hours of real exchanges, as exchange-calendars knows them."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime
from functools import cache

import exchange_calendars
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.dataset.calendars import exchange_sessions
from services.dataset.convert.checks import Checks
from services.dataset.domain.exchanges import ALIASES, CODES, EXCHANGES
from services.dataset.domain.proposal import LARGE_EXCHANGES, Proposal, propose
from services.dataset.domain.sessions import Sessions, fx_sessions
from services.dataset.domain.timeline import (
    Clock,
    GapPolicy,
    Timeline,
    TimestampConvention,
    extend,
    read_timeline,
)
from services.dataset.domain.times import DAY_MS, HOUR_MS, MINUTE_MS, WEEK_MS, Times, iso, spacing
from services.shared.errors import InvalidRequest


def ms(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * 1000


@cache
def sessions_of(code: str, first: str, last: str) -> Sessions:
    return exchange_sessions(code, ms(first), ms(last))


def bars_of(sessions: Sessions, interval_ms: int, *, at_close: bool = False) -> Times:
    """One after the other, as a person would write them down."""
    if interval_ms == DAY_MS:
        return sessions.dates
    times = []
    for start, end in zip(sessions.starts.tolist(), sessions.ends.tolist(), strict=True):
        opens = range(start, end, interval_ms)
        times += [min(open_ + interval_ms, end) for open_ in opens] if at_close else list(opens)
    return np.array(times, dtype=np.int64)


def read(times: Times, code: str, convention: TimestampConvention) -> Timeline:
    clock = Clock(calendar=code, convention=convention)
    return read_timeline(times, None, clock, exchange_sessions).timeline


def proposed(times: Times, *, at_close: bool = False) -> Proposal:
    return propose(times, spacing(times), exchange_sessions, at_close=at_close)


def test_the_codes_are_those_of_the_library() -> None:
    names = set(exchange_calendars.get_calendar_names()) - {"24/5", "24/7"}
    assert names == CODES
    assert set(exchange_calendars.get_calendar_names(include_aliases=False)) >= set(EXCHANGES)
    assert not set(EXCHANGES) & set(ALIASES)
    assert set(LARGE_EXCHANGES) <= set(EXCHANGES)


def test_thanksgiving_is_no_gap_and_the_day_after_ends_early() -> None:
    half_hours = 30 * MINUTE_MS
    bars = bars_of(sessions_of("XNYS", "2024-11-25", "2024-12-02"), half_hours)
    friday = bars[(bars >= ms("2024-11-29")) & (bars < ms("2024-11-30"))]
    assert [iso(friday[0]), iso(friday[-1])] == ["2024-11-29T14:30:00Z", "2024-11-29T17:30:00Z"]
    assert not len(bars[(bars >= ms("2024-11-28")) & (bars < ms("2024-11-29"))])
    assert read(bars, "XNYS", TimestampConvention.OPEN).gaps == ()


def test_bars_after_an_early_close_are_on_no_slot() -> None:
    bars = bars_of(sessions_of("XNYS", "2024-11-25", "2024-12-02"), HOUR_MS)
    late = np.sort(np.append(bars, ms("2024-11-29T18:30")))
    with pytest.raises(InvalidRequest, match=r"is XNYS, but 1 bars .* at 2024-11-29T18:30:00Z"):
        read(late, "XNYS", TimestampConvention.OPEN)


def test_new_york_opens_an_hour_earlier_in_utc_once_the_clocks_have_shifted() -> None:
    bars = bars_of(sessions_of("XNYS", "2024-03-07", "2024-03-12"), HOUR_MS)
    opens = {iso(bar) for bar in bars if bar % DAY_MS in (ms("1970-01-01T13:30"), 52_200_000)}
    assert {"2024-03-08T14:30:00Z", "2024-03-11T13:30:00Z"} <= opens
    assert read(bars, "XNYS", TimestampConvention.OPEN).gaps == ()


def test_tokyo_is_counted_anew_after_lunch() -> None:
    bars = bars_of(sessions_of("XTKS", "2024-05-07", "2024-05-09"), HOUR_MS)
    first_day = [iso(bar)[11:16] for bar in bars if bar < ms("2024-05-08")]
    assert first_day[:3] == ["00:00", "01:00", "02:00"]
    assert first_day[3:] == ["03:30", "04:30", "05:30"]
    without_lunch = np.delete(bars, 3)
    (gap,) = read(without_lunch, "XTKS", TimestampConvention.OPEN).gaps
    assert (iso(gap.after_ms), gap.missing) == ("2024-05-07T02:00:00Z", 1)


def test_a_missing_session_is_one_slot_of_daily_bars_and_its_bars_of_shorter_ones() -> None:
    days = bars_of(sessions_of("XNYS", "2024-11-01", "2024-12-31"), DAY_MS)
    (gap,) = read(np.delete(days, 5), "XNYS", TimestampConvention.OPEN).gaps
    assert gap.missing == 1
    hours = bars_of(sessions_of("XNYS", "2024-11-25", "2024-12-06"), HOUR_MS)
    friday = (hours >= ms("2024-11-29")) & (hours < ms("2024-11-30"))
    (gap,) = read(hours[~friday], "XNYS", TimestampConvention.OPEN).gaps
    assert gap.missing == 4  # 09:30 to 13:00, the last a half


def test_daily_bars_off_their_sessions_date_are_told_what_is_expected() -> None:
    days = bars_of(sessions_of("XNYS", "2024-11-01", "2024-12-31"), DAY_MS) + HOUR_MS
    with pytest.raises(InvalidRequest, match="daily bars carry their session's date at 00:00 UTC"):
        read(days, "XNYS", TimestampConvention.OPEN)


def test_the_last_bar_of_a_session_closes_with_it() -> None:
    bars = bars_of(sessions_of("XNYS", "2024-11-25", "2024-12-02"), HOUR_MS, at_close=True)
    assert "2024-11-29T18:00:00Z" in {iso(bar) for bar in bars}
    assert read(bars, "XNYS", TimestampConvention.CLOSE).gaps == ()
    with pytest.raises(InvalidRequest, match="bars are on none of its slots"):
        read(bars, "XNYS", TimestampConvention.OPEN)


def test_two_bars_a_day_are_regular_within_the_hours_of_an_exchange() -> None:
    bars = bars_of(sessions_of("XNYS", "2024-01-01", "2024-12-31"), 4 * HOUR_MS)
    assert not spacing(bars).is_regular
    assert read(bars, "XNYS", TimestampConvention.OPEN).gaps == ()
    assert proposed(bars).name == "XNYS"


@settings(deadline=None, max_examples=40)
@given(
    st.sampled_from(["XNYS", "XTKS", "XHKG", "XLON", "CMES"]),
    st.sampled_from([5 * MINUTE_MS, HOUR_MS, DAY_MS]),
    st.sets(st.floats(0.01, 0.99), max_size=15),
    st.booleans(),
)
def test_bars_of_a_calendars_own_slots_have_exactly_the_gaps_cut_into_them(
    code: str, interval_ms: int, places: set[float], at_close: bool
) -> None:
    whole = bars_of(sessions_of(code, "2024-10-01", "2025-01-10"), interval_ms, at_close=at_close)
    left_out = {int(place * len(whole)) for place in places} - {0, len(whole) - 1}
    bars = np.delete(whole, sorted(left_out))
    convention = TimestampConvention.CLOSE if at_close else TimestampConvention.OPEN
    gaps = read(bars, code, convention).gaps
    missing = [
        row
        for gap in gaps
        for row in range(
            int(np.searchsorted(whole, gap.after_ms)) + 1,
            int(np.searchsorted(whole, gap.before_ms)),
        )
    ]
    assert missing == sorted(left_out)
    assert sum(gap.missing for gap in gaps) == len(left_out)


@settings(deadline=None, max_examples=20)
@given(st.integers(21, 500), st.booleans())
def test_bars_added_to_an_exchanges_leave_the_gaps_they_would_have_left_at_once(
    cut: int, is_daily: bool
) -> None:
    whole = bars_of(
        sessions_of("XNYS", "2024-10-01", "2025-01-10"), DAY_MS if is_daily else HOUR_MS
    )
    bars = np.delete(whole, [*range(7, 12), 40, len(whole) - 9])
    at_once = read(bars, "XNYS", TimestampConvention.OPEN)
    known = read(bars[:cut], "XNYS", TimestampConvention.OPEN)
    added = extend(known, bars[cut:], GapPolicy.MARK, exchange_sessions)
    assert (*known.gaps, *added.gaps) == at_once.gaps


def test_years_before_an_exchange_is_known_are_refused_with_what_is_known() -> None:
    days = np.arange(ms("1990-01-01"), ms("1990-06-01"), DAY_MS)
    days = days[(days // DAY_MS + 3) % 7 < 5]
    with pytest.raises(InvalidRequest, match=r"is XTKS, .* known from 1997-01-01 on, and the bars"):
        read(days, "XTKS", TimestampConvention.OPEN)


def test_years_after_the_last_one_that_is_known_are_refused() -> None:
    with pytest.raises(InvalidRequest, match=r"XHKG, .* known from 1960-01-01 to 2049-12-31"):
        exchange_sessions("XHKG", ms("2049-12-01"), ms("2050-02-01"))
    assert len(exchange_sessions("XHKG", ms("2049-12-01"), ms("2049-12-30")).dates)
    assert len(exchange_sessions("XTKS", ms("1997-01-02"), ms("1997-03-01")).dates)


def test_more_than_twenty_years_back_is_no_matter() -> None:
    days = bars_of(sessions_of("XNYS", "1980-01-01", "1985-12-31"), DAY_MS)
    assert read(days, "XNYS", TimestampConvention.OPEN).gaps == ()
    assert len(days) > 1500


def test_bars_when_the_exchange_never_trades_are_on_no_slot() -> None:
    saturday = np.array([ms("2024-01-06T12:00"), ms("2024-01-06T13:00"), ms("2024-01-06T14:00")])
    assert (
        not sessions_of("XNYS", "2024-01-06", "2024-01-06")
        .slots(saturday, HOUR_MS, at_close=False)
        .on_slot.any()
    )
    assert not Sessions.none().slots(saturday, DAY_MS, at_close=False).on_slot.any()


def test_weekly_bars_are_refused() -> None:
    mondays = ms("2024-01-01") + WEEK_MS * np.arange(30)
    with pytest.raises(InvalidRequest, match="is XNYS, which counts bars of at most a day"):
        read(mondays, "XNYS", TimestampConvention.OPEN)


@pytest.mark.parametrize("code", ["XNYS", "XLON", "XTKS", "XHKG", "XPAR", "XSHG", "XASX"])
@pytest.mark.parametrize("interval_ms", [HOUR_MS, DAY_MS])
def test_auto_recognises_a_year_of_a_large_exchange(code: str, interval_ms: int) -> None:
    bars = bars_of(sessions_of(code, "2024-01-01", "2024-12-31"), interval_ms)
    proposal = proposed(bars)
    assert proposal.name == code
    assert f"Every bar is on a slot of the trading hours of {code}" in proposal.why


def test_auto_recognises_bars_stamped_at_their_close() -> None:
    bars = bars_of(sessions_of("XNYS", "2024-01-01", "2024-12-31"), HOUR_MS, at_close=True)
    assert proposed(bars, at_close=True).name == "XNYS"


def test_a_tie_goes_to_the_best_known_and_says_so() -> None:
    bars = bars_of(sessions_of("XETR", "2024-01-08", "2024-01-31"), HOUR_MS)
    proposal = proposed(bars)
    assert proposal.name == "XLON"
    assert "XETR" in proposal.why
    assert "fit equally well; XLON is the best known of them." in proposal.why


@pytest.mark.parametrize("at_close", [False, True])
def test_one_session_shows_its_exchange_and_never_bars_around_the_clock(*, at_close: bool) -> None:
    days = sessions_of("XNYS", "2024-05-13", "2024-05-14")
    session = bars_of(days, 5 * MINUTE_MS, at_close=at_close)[:78]
    assert proposed(session, at_close=at_close).name == "XNYS"
    cut = proposed(session[:-5], at_close=at_close)
    assert cut.name == "observed"
    assert "too few to tell the calendar: there is no weekend among them" in cut.why


def test_one_week_of_currencies_shows_their_hours() -> None:
    week = fx_sessions(ms("2024-05-13"), ms("2024-05-14"))
    assert proposed(np.arange(week.starts[1], week.ends[1], HOUR_MS)).name == "24x5_fx"


def test_bars_without_a_weekend_are_observed() -> None:
    assert proposed(ms("2024-05-13") + HOUR_MS * np.arange(72)).name == "observed"
    assert proposed(ms("2024-05-13") + DAY_MS * np.arange(5)).name == "observed"
    assert proposed(ms("2024-05-13") + DAY_MS * np.arange(6)).name == "24x7"
    assert proposed(ms("2024-05-13") + WEEK_MS * np.arange(6)).name == "24x7"


def test_auto_keeps_the_currency_week_where_it_fits_as_well() -> None:
    days = fx_sessions(ms("2024-02-01"), ms("2024-12-20")).dates
    assert proposed(days[(days > ms("2024-02-01")) & (days < ms("2024-12-20"))]).name == "24x5_fx"


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("XNYZ", "is 'XNYZ', which is no calendar: did you mean XNZE or XNYS"),
        ("xlon", "did you mean XLON"),
        ("24/7", "did you mean 24x7"),
        ("lunar", "There are 24x7, 24x5_fx, observed, auto and the exchange codes"),
    ],
)
def test_an_unknown_code_is_told_the_close_ones(name: str, words: str) -> None:
    checks = Checks()
    checks.calendar("calendar", name)
    with pytest.raises(InvalidRequest, match=words):
        checks.done()


def test_known_calendars_are_taken_and_auto_is_none() -> None:
    checks = Checks()
    taken = [checks.calendar("calendar", name) for name in ("XNAS", "24x7", "auto", "")]
    checks.done()
    assert taken == ["XNAS", "24x7", None, None]


def test_the_library_is_loaded_by_the_first_exchange_only() -> None:
    program = (
        "import sys, services.dataset.__main__; "
        "assert not {'exchange_calendars', 'pandas'} & set(sys.modules), 'loaded'"
    )
    subprocess.run(
        [sys.executable, "-c", program], check=True, env={"PYTHONPATH": ":".join(sys.path)}
    )
