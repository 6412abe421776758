"""The time column of a file, whatever its shape, as UTC milliseconds.

Blocks are looked at first (`look_at`, in any thread), then it is decided over the whole column
what they hold (`clock_of`), then each is turned into instants (`Clock.instants`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final
from zoneinfo import ZoneInfo

import numpy as np
import polars as pl

from services.dataset.domain.times import DAY_MS, outside_years
from services.dataset.formats import civil, epochs, zone_names
from services.dataset.formats.civil import Civil
from services.dataset.formats.epochs import Epochs
from services.dataset.formats.instants import to_ms
from services.dataset.formats.looks import Look
from services.dataset.formats.options import Options, Unit
from services.dataset.formats.refusal import Int64s, Mask, Places, ambiguous, refuse_rows, refused
from services.dataset.formats.written import Written, written

_ZONES_END_MS: Final = int(np.datetime64("2100-01-01", "ms").astype(np.int64))
_SESSION: Final = "Daily bars: the date of the session at 00:00 UTC"

Local = tuple[Int64s, Int64s | None]


class Temporal:
    """A column that holds dates or moments by its type."""

    notes: tuple[str, ...] = ()
    has_offsets = False

    def local(self, stamp: pl.Series, places: Places) -> Local:
        if isinstance(stamp.dtype, pl.Date):
            return stamp.to_physical().cast(pl.Int64).to_numpy() * DAY_MS, None
        assert isinstance(stamp.dtype, pl.Datetime)
        ms = to_ms(stamp.to_physical().to_numpy(), Unit(stamp.dtype.time_unit), places)
        _check_years(ms, places)
        if stamp.dtype.time_zone is None:
            return ms, None
        plain = stamp.dt.replace_time_zone(None).dt.cast_time_unit("ms")
        local = plain.to_physical().to_numpy()
        return local, local - ms


@dataclass(frozen=True, kw_only=True)
class Clock:
    """How a time column is read. `is_session`: dates without a time of day stay as they are.
    `used` are the options with what was decided filled in."""

    reading: Civil | Epochs | Temporal
    is_session: bool
    zone: str | None
    notes: tuple[str, ...]
    used: Options

    @property
    def dates_only_digits(self) -> bool:
        """Whether dates are written YYYYMMDD."""
        reading = self.reading
        if isinstance(reading, Civil):
            return reading.order is None
        return isinstance(reading, Epochs) and reading.width == 8

    def instants(self, stamp: pl.Series, time: pl.Series | None, places: Places) -> Int64s:
        """UTC milliseconds of a block's rows."""
        local, offset_ms = self._local(stamp, time, places)
        if self.is_session:
            ms = local
        elif offset_ms is not None:
            ms = local - offset_ms
        else:
            ms = local if self.zone is None else _from_zone(local, self.zone, places)
        _check_years(ms, places)
        return ms

    def _local(self, stamp: pl.Series, time: pl.Series | None, places: Places) -> Local:
        if isinstance(self.reading, Civil):
            return self.reading.local(_written(stamp, time), places)
        return self.reading.local(stamp, places)


def broken_moments(stamp: pl.Series, time: pl.Series | None) -> Mask:
    """Rows without a time."""
    absent = stamp.is_null() if time is None else stamp.is_null() | time.is_null()
    return absent.to_numpy()


def look_at(stamp: pl.Series, time: pl.Series | None) -> Look:
    """Of rows that all have a time."""
    if stamp.dtype.is_temporal() and time is None:
        return _look_at_moments(stamp)
    if not (stamp.dtype.is_temporal() or stamp.dtype.is_numeric() or stamp.dtype == pl.String):
        raise refused(f"has the type {stamp.dtype} in its time column {stamp.name!r}")
    look = Look()
    if time is None:
        look = epochs.look_at(stamp)
        if look.all("numbers"):
            return look
    texts = civil.look_at(_written(stamp, time))
    del texts.counts["rows"]
    if time is not None:
        look.count("rows", len(stamp))
    look.add(texts)
    return look


def _look_at_moments(stamp: pl.Series) -> Look:
    if not isinstance(stamp.dtype, pl.Date | pl.Datetime):
        raise refused(f"has the type {stamp.dtype} in its time column {stamp.name!r}")
    look = Look()
    look.count("rows", len(stamp))
    if isinstance(stamp.dtype, pl.Datetime):
        naive = stamp.dt.replace_time_zone(None)
        look.count("not at midnight", (naive != naive.dt.truncate("1d")).to_numpy())
        look.count("offsets", len(stamp) if stamp.dtype.time_zone else 0)
    return look


def clock_of(
    look: Look, stamp: pl.Series, options: Options, *, has_time: bool, no_zone: str | None
) -> Clock:
    """Of what all blocks show; `stamp` is the column's name and type. `no_zone`: why times
    without an offset need one. Raises FileRefused, FileAmbiguous."""
    name = stamp.name
    if stamp.dtype.is_temporal() and not has_time:
        return _placed(Temporal(), look, name, options, no_zone)
    if not has_time and look.most("numbers"):
        found = epochs.epochs_of(look, name, options)
        if found.width:
            return _placed(found, look, name, options, no_zone)
        if options.zone not in (None, "UTC"):
            raise refused("is given, but the times are numbers, which are UTC", field="zone")
        used = replace(options, unit=found.unit)
        return Clock(reading=found, is_session=False, zone=None, notes=found.notes, used=used)
    if options.unit is not None:
        raise refused(f"is given, but {name!r} holds written dates", field="unit")
    read = civil.civil_of(look, name, options)
    order = read.order or options.date_order
    used = replace(options, date_order=order, time_layout=read.digits or options.time_layout)
    return _placed(read, look, name, used, no_zone)


def _placed(
    reading: Civil | Epochs | Temporal,
    look: Look,
    name: str,
    options: Options,
    no_zone: str | None,
) -> Clock:
    """Local times to UTC by their own offsets, else by the zone, else as they are."""
    zone, has_offsets = options.zone, look.counts["offsets"] > 0
    if zone is not None:
        _must_be_known(zone)
        if has_offsets:
            raise refused(f"is {zone}, but the times carry their own offsets", field="zone")
    is_session = not (look.counts["not at midnight"] or options.is_intraday)
    if is_session:
        note = _SESSION + ("." if zone is None else f", not that of {zone}.")
    elif has_offsets:
        note = "The times carry their offset from UTC."
    elif zone is not None:
        note = f"Times are local to {zone}, as given."
    else:
        note, zone = _taken_as_utc(name, no_zone), "UTC"
    return Clock(
        reading=reading,
        is_session=is_session,
        zone=None if zone == "UTC" else zone,
        notes=(*reading.notes, note),
        used=replace(options, zone=zone),
    )


def _taken_as_utc(name: str, no_zone: str | None) -> str:
    if no_zone is not None:
        raise ambiguous(
            f"is missing: {no_zone}; give the IANA zone such as America/New_York, or UTC",
            option="zone",
        )
    zone = zone_names.split(name)[1]
    why = f"the header says {zone.upper()}" if zone else "no zone is given"
    return f"Times are taken as UTC: {why}."


def _must_be_known(zone: str) -> None:
    try:
        ZoneInfo(zone)
    except (ValueError, OSError, KeyError):
        message = f"is {zone!r}, which is no IANA time zone such as America/New_York"
        raise refused(message, field="zone") from None


def _written(stamp: pl.Series, time: pl.Series | None) -> Written:
    if stamp.dtype.is_temporal():
        stamp = stamp.cast(pl.Date)
    return written(stamp.cast(pl.String), None if time is None else time.cast(pl.String))


def _check_years(ms: Int64s, places: Places) -> None:
    refuse_rows(places, [("has a time outside the years 1800 to 2200", outside_years(ms))])


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
