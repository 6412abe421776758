"""Numbers to instants: units by magnitude, compact dates, times of day by their digits.

Pure numpy on whole columns. What a column means is decided from all of it, never from its
first row (DOMAIN §1 and §2).
"""

from __future__ import annotations

from typing import Final

import numpy as np

from services.dataset.formats.options import TimeLayout, Unit
from services.dataset.formats.refusal import (
    Int64s,
    Mask,
    Places,
    ambiguous,
    refuse_rows,
    refused,
)

# Magnitudes as DOMAIN §1 draws them: every second up to 2200 lies below 1e10.
BELOW: Final = ((Unit.S, 1e10), (Unit.MS, 7.3e12), (Unit.US, 7.3e15), (Unit.NS, 7.3e18))
WORDS: Final = {
    Unit.S: "seconds",
    Unit.MS: "milliseconds",
    Unit.US: "microseconds",
    Unit.NS: "nanoseconds",
}
_PER_MS: Final = {Unit.MS: 1, Unit.US: 1_000, Unit.NS: 1_000_000}
_MONTH_DAYS: Final = np.array([0, 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31], np.int64)


def unit_of(largest: int, name: str, *, claims_ms: bool) -> Unit:
    """The unit of a numeric timestamp column by its largest absolute value."""
    unit = next((unit for unit, limit in BELOW if largest < limit), None)
    if unit is None:
        raise refused(f"has {largest} in its time column {name!r}, which is a time in no unit")
    if claims_ms and unit is not Unit.MS:
        raise refused(
            f"is missing: the time column {name!r} should hold milliseconds, but its largest "
            f"value {largest} looks like {WORDS[unit]}",
            field="unit",
        )
    return unit


def unit_note(name: str, unit: Unit) -> str:
    return f"The time column {name!r} holds {WORDS[unit]} since 1970, by its largest value."


def to_ms(values: Int64s, unit: Unit, places: Places) -> Int64s:
    if unit is Unit.S:
        safe = (values > -(10**13)) & (values < 10**13)
        refuse_rows(places, [("has a time outside the years 1800 to 2200", ~safe)])
        return values * 1000
    ms, rest = np.divmod(values, _PER_MS[unit])
    refuse_rows(places, [("has a time finer than a millisecond", rest != 0)])
    return ms


def days_of(year: Int64s, month: Int64s, day: Int64s) -> tuple[Int64s, Mask]:
    """Days since 1970 of civil dates, and which of them exist (Hinnant's formula)."""
    leap = (year % 4 == 0) & ((year % 100 != 0) | (year % 400 == 0))
    length = _MONTH_DAYS[np.clip(month, 0, 12)] + (leap & (month == 2))
    exists = (month >= 1) & (month <= 12) & (day >= 1) & (day <= length)
    y = year - (month <= 2)
    era = y // 400
    of_era = y - era * 400
    of_year = (153 * (month + np.where(month > 2, -3, 9)) + 2) // 5 + day - 1
    days = era * 146_097 + of_era * 365 + of_era // 4 - of_era // 100 + of_year - 719_468
    return days, exists & (year >= 1800) & (year <= 2200)


def days_of_compact(dates: Int64s) -> tuple[Int64s, Mask]:
    """Days since 1970 of dates written YYYYMMDD, and which of them exist from 1800 to 2200."""
    return days_of(dates // 10_000, dates // 100 % 100, dates % 100)


def time_digits_of(
    largest: int, last_two: int, *, padded: int, one_day: bool, given: TimeLayout | None
) -> TimeLayout:
    """Whether a numeric time column is HHMM or HHMMSS, from its largest value and last digits.

    `padded` is the width to which zeros fill the column's texts (0: they do not). Neither reading
    is guessed when both make sense: as HHMMSS, a column up to 2359 lies within 24 minutes of
    midnight, which is credible on a single day only; one a little above 2359 may be HHMM with
    midnight as 2400; one up to 23 may be hours.
    """
    if given is not None:
        return given
    if padded in (4, 6):
        return TimeLayout.HHMM if padded == 4 else TimeLayout.HHMMSS
    if 0 < largest <= 23:
        raise ambiguous(
            f"is missing: the times (up to {largest}) could be hours, HHMM or HHMMSS; write hours "
            "as HHMM, or give hhmm or hhmmss",
            option="time_layout",
        )
    one_morning = one_day and 0 < largest <= 2359 and last_two <= 59
    around_midnight = 2359 < largest < 10_000
    if one_morning or around_midnight:
        raise ambiguous(
            f"is missing: the times (up to {largest}) could be HHMM or HHMMSS, give hhmm or hhmmss",
            option="time_layout",
        )
    return TimeLayout.HHMM if largest <= 2359 else TimeLayout.HHMMSS


def time_of_day_ms(times: Int64s, digits: TimeLayout) -> tuple[Int64s, Mask]:
    """Milliseconds since midnight, and which times exist."""
    full = times * 100 if digits is TimeLayout.HHMM else times
    hour, minute, second = full // 10_000, full // 100 % 100, full % 100
    exists = (times >= 0) & (hour < 24) & (minute < 60) & (second < 60)
    return ((hour * 60 + minute) * 60 + second) * 1000, exists
