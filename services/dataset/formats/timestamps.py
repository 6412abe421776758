"""The time column of a file, whatever its shape, as UTC milliseconds."""

from __future__ import annotations

import re
from typing import Final
from zoneinfo import ZoneInfo

import numpy as np
import polars as pl

from services.dataset.domain.times import DAY_MS, outside_years
from services.dataset.formats.civil import civil_of
from services.dataset.formats.instants import (
    days_of_compact,
    time_of_day_ms,
    to_ms,
    unit_note,
    unit_of,
)
from services.dataset.formats.options import Options, TimeLayout, Unit
from services.dataset.formats.refusal import Int64s, Mask, Places, ambiguous, refuse_rows, refused

Instants = tuple[Int64s, tuple[str, ...]]

_LOCAL: Final = re.compile(r"(?<![a-z])local(?![a-z])", re.IGNORECASE)
_NUMBER: Final = r"^[+-]?\d+(\.\d*)?([eE][+-]?\d+)?$"
_ZONES_END_MS: Final = int(np.datetime64("2100-01-01", "ms").astype(np.int64))
_EXACT: Final = 2.0**53
_COMPACT: Final = ((8, "YYYYMMDD"), (12, "YYYYMMDDHHMM"), (14, "YYYYMMDDHHMMSS"))
_SESSION: Final = "Daily bars: the date of the session at 00:00 UTC"


def instants_of(
    stamp: pl.Series, time: pl.Series | None, places: Places, options: Options
) -> Instants:
    """UTC milliseconds of every row. Raises FileRefused, FileAmbiguous."""
    absent = stamp.is_null() if time is None else stamp.is_null() | time.is_null()
    refuse_rows(places, [("has no time", absent.to_numpy())])
    ms, notes = _read(stamp, time, places, options)
    _check_years(ms, places)
    return ms, notes


def _check_years(ms: Int64s, places: Places) -> None:
    refuse_rows(places, [("has a time outside the years 1800 to 2200", outside_years(ms))])


def _read(stamp: pl.Series, time: pl.Series | None, places: Places, options: Options) -> Instants:
    if stamp.dtype.is_temporal() and time is not None:
        stamp = stamp.cast(pl.Date).cast(pl.String)
    if stamp.dtype.is_temporal():
        return _temporal(stamp, places, options)
    if time is None and _is_numeric(stamp):
        return _numeric(stamp, places, options)
    if options.unit is not None:
        raise refused(f"is given, but {stamp.name!r} holds written dates", field="unit")
    texts = None if time is None else time.cast(pl.String)
    civil = civil_of(stamp.cast(pl.String), texts, places, options)
    local = civil.days * DAY_MS + civil.time_ms
    return _utc(local, civil.offset_ms, civil.notes, stamp.name, places, options)


def _is_numeric(stamp: pl.Series) -> bool:
    if stamp.dtype.is_numeric():
        return True
    if stamp.dtype != pl.String:
        raise refused(f"has the type {stamp.dtype} in its time column {stamp.name!r}")
    return 2 * int(stamp.str.contains(_NUMBER).sum()) > len(stamp)


def _temporal(stamp: pl.Series, places: Places, options: Options) -> Instants:
    if isinstance(stamp.dtype, pl.Date):
        days = stamp.to_physical().cast(pl.Int64).to_numpy()
        return _utc(days * DAY_MS, None, (), stamp.name, places, options)
    if not isinstance(stamp.dtype, pl.Datetime):
        raise refused(f"has the type {stamp.dtype} in its time column {stamp.name!r}")
    unit = Unit(stamp.dtype.time_unit)
    ms = to_ms(stamp.to_physical().to_numpy(), unit, places)
    _check_years(ms, places)
    if stamp.dtype.time_zone is None:
        return _utc(ms, None, (), stamp.name, places, options)
    local = stamp.dt.replace_time_zone(None).dt.cast_time_unit("ms").to_physical().to_numpy()
    return _utc(local, local - ms, (), stamp.name, places, options)


def _utc(
    local: Int64s,
    offset_ms: Int64s | None,
    notes: tuple[str, ...],
    name: str,
    places: Places,
    options: Options,
) -> Instants:
    """Local times to UTC by their own offsets, else by the zone, else as they are."""
    zone = options.zone
    if zone is not None:
        _must_be_known(zone)
        if offset_ms is not None:
            raise refused(f"is {zone}, but the times carry their own offsets", field="zone")
    if not (local % DAY_MS).any():
        kept = "" if zone is None else f", not that of {zone}"
        return local, (*notes, f"{_SESSION}{kept}.")
    if offset_ms is not None:
        return local - offset_ms, (*notes, "The times carry their offset from UTC.")
    if zone is not None:
        return _from_zone(local, zone, places), (*notes, f"Times are local to {zone}, as given.")
    if _LOCAL.search(name):
        raise ambiguous(
            f"is missing: {name!r} holds local times without an offset from UTC, "
            "give their IANA zone such as America/New_York, or UTC",
            option="zone",
        )
    why = "the header says GMT" if name.lower() == "gmt time" else "no zone is given"
    return local, (*notes, f"Times are taken as UTC: {why}.")


def _must_be_known(zone: str) -> None:
    try:
        ZoneInfo(zone)
    except (ValueError, OSError, KeyError):
        message = f"is {zone!r}, which is no IANA time zone such as America/New_York"
        raise refused(message, field="zone") from None


def _from_zone(local: Int64s, zone: str, places: Places) -> Int64s:
    late = local >= _ZONES_END_MS
    refuse_rows(places, [(f"has a local time after 2099, when {zone} is not known", late)])
    naive = pl.Series(local).cast(pl.Datetime("ms"))
    first = naive.dt.replace_time_zone(zone, ambiguous="earliest", non_existent="null")
    second = naive.dt.replace_time_zone(zone, ambiguous="latest", non_existent="null")
    skipped: Mask = first.is_null().to_numpy()
    twice: Mask = (first != second).fill_null(False).to_numpy()
    broken = [
        (f"has a local time that {zone} skipped (clocks went forward)", skipped),
        (f"has a local time that {zone} had twice (clocks went back)", twice),
    ]
    refuse_rows(places, broken)
    return first.to_physical().to_numpy()


def _numeric(stamp: pl.Series, places: Places, options: Options) -> Instants:
    integers, scale = _integers(stamp, places)
    claims_ms = stamp.name.lower().endswith("_ms")
    if options.unit is None and scale == 1 and not claims_ms:
        compact = _compact(integers, stamp.name, places)
        if compact is not None:
            local, note = compact
            return _utc(local, None, (note,), stamp.name, places, options)
    if options.zone not in (None, "UTC"):
        raise refused("is given, but the times are numbers, which are UTC", field="zone")
    if options.unit is not None:
        return _scaled(integers, scale, options.unit, places), ()
    unit = unit_of(integers // scale, stamp.name, claims_ms=claims_ms)
    notes = () if claims_ms else (unit_note(stamp.name, unit),)
    return _scaled(integers, scale, unit, places), notes


def _integers(stamp: pl.Series, places: Places) -> tuple[Int64s, int]:
    """The numbers times a scale: 1, or 1000 when they have fractions (as seconds may)."""
    integers = stamp.cast(pl.Int64, strict=False)
    if not stamp.dtype.is_float() and not integers.has_nulls():
        return integers.to_numpy(), 1
    numbers = stamp.cast(pl.Float64, strict=False).fill_null(np.nan).to_numpy()
    refuse_rows(places, [("has a time that is no number", ~np.isfinite(numbers))])
    inexact = np.abs(numbers) >= _EXACT / 1000
    whole = bool((numbers == np.floor(numbers)).all())
    refuse_rows(places, [("has a time too large for a fraction", inexact & (not whole))])
    refuse_rows(places, [("has a time too large to be exact", np.abs(numbers) >= _EXACT)])
    scale = 1 if whole else 1000
    scaled = np.rint(numbers * scale)
    finer = np.abs(numbers * scale - scaled) > 0.01
    refuse_rows(places, [("has a time finer than a millisecond", finer)])
    return scaled.astype(np.int64), scale


def _scaled(integers: Int64s, scale: int, unit: Unit, places: Places) -> Int64s:
    if scale == 1:
        return to_ms(integers, unit, places)
    if unit is not Unit.S:
        raise refused("has times with fractions, which only seconds may have")
    return to_ms(integers, Unit.MS, places)


def _compact(values: Int64s, name: str, places: Places) -> tuple[Int64s, str] | None:
    """Numbers that are dates written without separators; None when they are none.

    Most of the values must be such dates: among moments counted from 1970 few look like one.
    """
    for width, pattern in _COMPACT:
        scale = 10 ** (width - 8)
        if values.min() < 1800_0101 * scale or values.max() >= 2201_0101 * scale:
            continue
        days, is_date = days_of_compact(values // scale)
        digits = TimeLayout.HHMMSS if width == 14 else TimeLayout.HHMM
        time_ms, is_time = time_of_day_ms(values % scale, digits)
        exists = is_date & is_time
        if exists.mean() > 0.5:
            refuse_rows(places, [(f"has no {pattern} that exists", ~exists)])
            return days * DAY_MS + time_ms, f"The time column {name!r} holds {pattern}."
    return None
