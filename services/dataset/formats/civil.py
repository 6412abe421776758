"""Dates and times written out: `31.12.2017 23:00:00.000`, `2017-12-31T23:00Z`, `20171231 2300`.

A column is read as a whole: which field is the day, what digits a time has and whether an
offset follows are one decision for all rows, and rows that do not fit are refused by line.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import polars as pl

from services.dataset.formats.instants import (
    days_of,
    days_of_compact,
    time_digits_of,
    time_of_day_ms,
)
from services.dataset.formats.options import DateOrder, Options
from services.dataset.formats.refusal import (
    Int64s,
    Mask,
    Places,
    ambiguous,
    refuse_rows,
    refused,
)

_STAMP: Final = (
    r"^([0-9./-]+)(?:[T ]+([0-9][0-9:.,]*(?: ?[AaPp][Mm])?)"
    r" ?((?:Z|UTC|GMT)?(?:[+-]\d{1,2}(?::?\d{2})?)?))?$"
)
_DATE: Final = r"^(\d{1,4})([-./])(\d{1,2})([-./])(\d{1,4})$"
_TIME: Final = r"^(\d{1,2}):(\d{2})(?::(\d{2})(?:[.,](\d{1,9}))?)?(?: ?([AaPp])[Mm])?$"
_OFFSET: Final = r"([+-])(\d{1,2}):?(\d{2})?$"
_DUKASCOPY: Final = ("gmt time", "local time")
_UNKNOWN_DATE: Final = "has no date as YYYY-MM-DD, YYYYMMDD, DD.MM.YYYY or MM/DD/YYYY"


@dataclass(frozen=True, kw_only=True)
class Civil:
    """Local dates and times; `offset_ms` (east of UTC) is None when the texts carry none."""

    days: Int64s
    time_ms: Int64s
    offset_ms: Int64s | None
    notes: tuple[str, ...]


def civil_of(stamp: pl.Series, time: pl.Series | None, places: Places, options: Options) -> Civil:
    """What the texts of one column, or of a date and a time column, say."""
    offset_ms = None
    date = stamp
    if time is None:
        parts = stamp.str.extract_groups(_STAMP).struct.unnest()
        date, time, offset = parts["1"], parts["2"], parts["3"]
        refuse_rows(
            places, [("has a time that is no date such as 2024-05-01 14:00", _mask(date.is_null()))]
        )
        offset_ms = _offsets(offset, places)
    days, notes = _days(date, stamp.name, places, options)
    time_ms, more = _times(time, days, places, options)
    return Civil(days=days, time_ms=time_ms, offset_ms=offset_ms, notes=notes + more)


def _days(
    date: pl.Series, name: str, places: Places, options: Options
) -> tuple[Int64s, tuple[str, ...]]:
    compact = _mask(date.str.contains(r"^\d{8}$").fill_null(False))
    if compact.mean() > 0.5:
        refuse_rows(places, [("has no date as YYYYMMDD, as the other lines do", ~compact)])
        days, exists = days_of_compact(_ints(date))
        notes: tuple[str, ...] = (f"Dates in {name!r} are YYYYMMDD.",)
    else:
        days, exists, notes = _separated_days(date, name, places, options)
    refuse_rows(places, [("has a date that does not exist from 1800 to 2200", ~exists)])
    return days, notes


def _separated_days(
    date: pl.Series, name: str, places: Places, options: Options
) -> tuple[Int64s, Mask, tuple[str, ...]]:
    parts = date.str.extract_groups(_DATE).struct.unnest()
    year_first = _mask((parts["1"].str.len_bytes() == 4) & (parts["5"].str.len_bytes() <= 2))
    year_last = _mask((parts["1"].str.len_bytes() <= 2) & (parts["5"].str.len_bytes() == 4))
    one_separator = _mask(parts["2"] == parts["4"])
    fits = (year_first if year_first.sum() > year_last.sum() else year_last) & one_separator
    refuse_rows(places, [(_UNKNOWN_DATE, ~fits)])
    first, middle, last = (_ints(parts[group]) for group in ("1", "3", "5"))
    if year_first.any():
        _must_not_contradict(options.date_order, DateOrder.YMD)
        days, exists = days_of(first, middle, last)
        return days, exists, (f"Dates in {name!r} are year, month, day.",)
    order, note = _order_of(first, middle, name, options.date_order)
    day, month = (first, middle) if order is DateOrder.DAY_FIRST else (middle, first)
    days, exists = days_of(last, month, day)
    return days, exists, (note,)


def _must_not_contradict(given: DateOrder | None, found: DateOrder) -> None:
    if given is not None and given is not found:
        raise refused(f"is {given}, but the year is the first field", field="date_order")


def _order_of(
    first: Int64s, second: Int64s, name: str, given: DateOrder | None
) -> tuple[DateOrder, str]:
    if given is DateOrder.YMD:
        raise refused("is ymd, but the year is the last field", field="date_order")
    if given is not None:
        return given, f"Dates in {name!r} are {given}, as given."
    if name.lower() in _DUKASCOPY:
        return DateOrder.DAY_FIRST, f"Dates in {name!r} are day, month, year: a Dukascopy file."
    over_first, over_second = int((first > 12).sum()), int((second > 12).sum())
    if over_first == over_second == 0:
        raise ambiguous(
            f"is missing: no date in {name!r} shows whether day or month comes first, "
            "give day_first or month_first",
            option="date_order",
        )
    if over_first >= over_second:
        return (
            DateOrder.DAY_FIRST,
            f"Dates in {name!r} are day, month, year: the first goes above 12.",
        )
    return (
        DateOrder.MONTH_FIRST,
        f"Dates in {name!r} are month, day, year: the second goes above 12.",
    )


def _times(
    time: pl.Series, days: Int64s, places: Places, options: Options
) -> tuple[Int64s, tuple[str, ...]]:
    missing = _mask(time.is_null())
    if missing.all():
        return np.zeros(len(days), np.int64), ()
    refuse_rows(places, [("has no time of day, as other lines do", missing)])
    numeric = _mask(time.str.contains(r"^\d{1,6}$"))
    if numeric.mean() <= 0.5:
        return _written_times(time, places), ()
    refuse_rows(places, [("has no time as HHMM or HHMMSS, as other lines do", ~numeric)])
    values = _ints(time)
    digits = time_digits_of(
        values,
        padded=_padded_width(time),
        days=len(np.unique(days)),
        given=options.time_layout,
    )
    time_ms, exists = time_of_day_ms(values, digits)
    refuse_rows(places, [(f"has a time that is no {digits.upper()}", ~exists)])
    return time_ms, (f"Times are {digits.upper()}.",)


def _padded_width(time: pl.Series) -> int:
    """The common width of texts of which some are filled with zeros, else 0."""
    widths = time.str.len_bytes()
    width = int(widths.item(0))
    filled = time.str.starts_with("0") & (widths > 1)
    return width if bool((widths == width).all()) and bool(filled.any()) else 0


def _written_times(time: pl.Series, places: Places) -> Int64s:
    parts = time.str.extract_groups(_TIME).struct.unnest()
    refuse_rows(places, [("has a time of day that is no HH:MM[:SS]", _mask(parts["1"].is_null()))])
    hour, minute = _ints(parts["1"]), _ints(parts["2"])
    second = _ints(parts["3"].fill_null("0"))
    nanos = _ints(parts["4"].fill_null("0").str.pad_end(9, "0"))
    half = parts["5"].str.to_lowercase()
    twelve = _mask(half.is_not_null())
    hour_exists = np.where(twelve, (hour >= 1) & (hour <= 12), hour < 24)
    hour = np.where(twelve, hour % 12 + 12 * _mask((half == "p").fill_null(False)), hour)
    exists = hour_exists & (minute < 60) & (second < 60)
    finer = nanos % 1_000_000 != 0
    refuse_rows(
        places,
        [
            ("has a time of day that does not exist", ~exists),
            ("has a time finer than a millisecond", finer),
        ],
    )
    return ((hour * 60 + minute) * 60 + second) * 1000 + nanos // 1_000_000


def _offsets(offset: pl.Series, places: Places) -> Int64s | None:
    written = _mask((offset != "").fill_null(False))
    if not written.any():
        return None
    refuse_rows(places, [("has no offset from UTC, as other lines do", ~written)])
    parts = offset.str.extract_groups(_OFFSET).struct.unnest()
    hours, minutes = (_ints(parts[group].fill_null("0")) for group in ("2", "3"))
    refuse_rows(
        places, [("has an offset from UTC that does not exist", (hours > 15) | (minutes > 59))]
    )
    sign: Int64s = np.where(_mask((parts["1"] == "-").fill_null(False)), -1, 1)
    offset_ms: Int64s = sign * (hours * 60 + minutes) * 60_000
    return offset_ms


def _ints(texts: pl.Series) -> Int64s:
    return texts.cast(pl.Int64).to_numpy()


def _mask(series: pl.Series) -> Mask:
    return series.fill_null(False).to_numpy().astype(np.bool_, copy=False)
