"""What dates and times written out mean: `31.12.2017 23:00:00.000`, `2017-12-31T23:00Z`, `2300`.

A column is read as a whole: which field is the day, what digits a time has and whether an
offset follows are one decision for all rows, and rows that do not fit are refused by line.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from services.dataset.domain.times import DAY_MS
from services.dataset.formats.instants import (
    days_of,
    days_of_compact,
    time_digits_of,
    time_of_day_ms,
)
from services.dataset.formats.looks import Look
from services.dataset.formats.options import DateOrder, Options, TimeLayout
from services.dataset.formats.refusal import (
    Int64s,
    Mask,
    Places,
    Rules,
    ambiguous,
    refuse_rows,
    refused,
)
from services.dataset.formats.written import Times, Written

_DUKASCOPY: Final = ("gmt time", "local time")
_UNKNOWN_DATE: Final = "has no date as YYYY-MM-DD, YYYYMMDD, DD.MM.YYYY or MM/DD/YYYY"


def look_at(texts: Written) -> Look:
    look = Look()
    look.count("rows", len(texts))
    look.count("compact", texts.compact)
    look.count("year first", texts.year_first)
    look.count("year last", texts.year_last)
    look.count("first over 12", texts.year_last & (texts.first > 12))
    look.count("middle over 12", texts.year_last & (texts.middle > 12))
    look.count("offsets", texts.has_offset)
    look.range("day", texts.digits + texts.first * 10_000 + texts.middle * 100 + texts.last)
    _look_at_times(texts.times, look)
    return look


def _look_at_times(times: Times, look: Look) -> None:
    numbers = times.numeric
    look.count("timed", times.present)
    look.count("numeric times", numbers)
    look.count("zero-filled", times.zero_filled & numbers)
    look.count("not at midnight", np.where(numbers, times.value, times.ms) != 0)
    look.range("width", times.width[times.present])
    look.range("time", times.value[numbers])
    look.range("last two", times.value[numbers] % 100)


@dataclass(frozen=True, kw_only=True)
class Civil:
    """How the texts of a column are read; `order` is None for dates of digits alone, `digits`
    for times with colons or none."""

    order: DateOrder | None
    is_timed: bool
    digits: TimeLayout | None
    has_offsets: bool
    notes: tuple[str, ...]

    def local(self, texts: Written, places: Places) -> tuple[Int64s, Int64s | None]:
        """Local milliseconds, and their distance from UTC where the texts tell it."""
        wrong = "has a time that is no date such as 2024-05-01 14:00"
        refuse_rows(places, [(wrong, ~texts.is_stamp)])
        offset_ms = self._offsets(texts, places) if self.has_offsets else None
        days, exists = self._days(texts, places)
        refuse_rows(places, [("has a date that does not exist from 1800 to 2200", ~exists)])
        return days * DAY_MS + self._times(texts.times, places), offset_ms

    def _days(self, texts: Written, places: Places) -> tuple[Int64s, Mask]:
        first, middle, last = texts.first, texts.middle, texts.last
        if self.order is None:
            wrong = "has no date as YYYYMMDD, as the other lines do"
            refuse_rows(places, [(wrong, ~texts.compact)])
            return days_of_compact(texts.digits)
        fits = texts.year_first if self.order is DateOrder.YMD else texts.year_last
        refuse_rows(places, [(_UNKNOWN_DATE, ~fits)])
        if self.order is DateOrder.YMD:
            return days_of(first, middle, last)
        day, month = (first, middle) if self.order is DateOrder.DAY_FIRST else (middle, first)
        return days_of(last, month, day)

    def _times(self, times: Times, places: Places) -> Int64s:
        if not self.is_timed:
            return np.zeros(len(times.ms), np.int64)
        refuse_rows(places, [("has no time of day, as other lines do", ~times.present)])
        if self.digits is None:
            refuse_rows(places, _broken_times(times))
            return times.ms
        wrong = "has no time as HHMM or HHMMSS, as other lines do"
        refuse_rows(places, [(wrong, ~times.numeric)])
        time_ms, exists = time_of_day_ms(times.value, self.digits)
        fits = exists & (times.width <= len(self.digits))
        refuse_rows(places, [(f"has a time that is no {self.digits.upper()}", ~fits)])
        return time_ms

    def _offsets(self, texts: Written, places: Places) -> Int64s:
        refuse_rows(places, [("has no offset from UTC, as other lines do", ~texts.has_offset)])
        wrong = "has an offset from UTC that does not exist"
        refuse_rows(places, [(wrong, ~texts.offset_exists)])
        return texts.offset_ms


def _broken_times(times: Times) -> Rules:
    return [
        ("has a time of day that is no HH:MM[:SS]", ~times.is_written),
        ("has a time of day that does not exist", times.is_written & ~times.exists),
        ("has a time finer than a millisecond", times.finer),
    ]


def civil_of(look: Look, name: str, options: Options) -> Civil:
    """Raises FileRefused, FileAmbiguous."""
    order, note = _dates(look, name, options)
    digits = _digits(look, options) if look.counts["timed"] else None
    told = () if digits is None else (f"Times are {digits.upper()}.",)
    return Civil(
        order=order,
        is_timed=look.counts["timed"] > 0,
        digits=digits,
        has_offsets=look.counts["offsets"] > 0,
        notes=(*note, *told),
    )


def _dates(look: Look, name: str, options: Options) -> tuple[DateOrder | None, tuple[str, ...]]:
    given = options.date_order
    if look.most("compact"):
        return None, (f"Dates in {name!r} are YYYYMMDD.",)
    if look.counts["year first"] > look.counts["year last"]:
        if given not in (None, DateOrder.YMD):
            raise refused(f"is {given}, but the year is the first field", field="date_order")
        return DateOrder.YMD, (f"Dates in {name!r} are year, month, day.",)
    if not look.counts["year last"]:
        return DateOrder.YMD, ()  # no row has a date: each will be refused
    order, note = _order_of(look, name, given)
    return order, (note,)


def _order_of(look: Look, name: str, given: DateOrder | None) -> tuple[DateOrder, str]:
    if given is DateOrder.YMD:
        raise refused("is ymd, but the year is the last field", field="date_order")
    if given is not None:
        return given, f"Dates in {name!r} are {given}, as given."
    if name.lower() in _DUKASCOPY:
        return DateOrder.DAY_FIRST, f"Dates in {name!r} are day, month, year: a Dukascopy file."
    over_first, over_second = look.counts["first over 12"], look.counts["middle over 12"]
    if over_first == over_second == 0:
        raise ambiguous(
            f"is missing: no date in {name!r} shows whether day or month comes first, "
            "give day_first or month_first",
            option="date_order",
        )
    if over_first >= over_second:
        why = "day, month, year: the first goes above 12"
        return DateOrder.DAY_FIRST, f"Dates in {name!r} are {why}."
    why = "month, day, year: the second goes above 12"
    return DateOrder.MONTH_FIRST, f"Dates in {name!r} are {why}."


def _digits(look: Look, options: Options) -> TimeLayout | None:
    if 2 * look.counts["numeric times"] <= look.counts["rows"]:
        return None
    least, most = look.ranges["width"]
    padded = most if least == most and look.counts["zero-filled"] else 0
    first_day, last_day = look.ranges["day"]
    return time_digits_of(
        look.ranges["time"][1],
        look.ranges["last two"][1],
        padded=padded,
        one_day=first_day == last_day,
        given=options.time_layout,
    )
