"""Time columns of numbers: moments counted from 1970, or dates written without separators."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np
import polars as pl

from services.dataset.domain.times import DAY_MS
from services.dataset.formats.columns import plain
from services.dataset.formats.instants import (
    BELOW,
    WORDS,
    days_of_compact,
    time_of_day_ms,
    to_ms,
    unit_note,
    unit_of,
)
from services.dataset.formats.looks import Look
from services.dataset.formats.options import Options, TimeLayout, Unit
from services.dataset.formats.refusal import (
    Int64s,
    Mask,
    Places,
    ambiguous,
    refuse_rows,
    refused,
)

_NUMBER: Final = r"^[+-]?[0-9]+(\.[0-9]*)?([eE][+-]?[0-9]+)?$"
_EXACT: Final = 2.0**53
_COUNTED: Final = frozenset({"unix", "unix_time", "unix_timestamp", "epoch"})
_EARLY: Final = 10**8  # seconds up to 1973, and whatever else people number time with
_JUMP: Final = 10  # between magnitudes that one series passes through, values are nearer
_COMPACT: Final = {8: "YYYYMMDD", 12: "YYYYMMDDHHMM", 14: "YYYYMMDDHHMMSS"}


def look_at(stamp: pl.Series) -> Look:
    """Counts which rows hold numbers, and how many of them would be dates."""
    look = Look()
    look.count("rows", len(stamp))
    integers = stamp.cast(pl.Int64, strict=False) if not stamp.dtype.is_temporal() else None
    if integers is not None and not stamp.dtype.is_float() and not integers.has_nulls():
        look.count("numbers", len(stamp))
        _look_at_whole(integers.to_numpy(), look)
        return look
    if not stamp.dtype.is_numeric():
        look.count("numbers", stamp.cast(pl.String).str.contains(_NUMBER).to_numpy())
        if not look.counts["numbers"]:
            return look
    else:
        look.count("numbers", len(stamp))
    _look_at_floats(stamp, look)
    return look


def _look_at_floats(stamp: pl.Series, look: Look) -> None:
    numbers = _floats(stamp)
    numbers = numbers[np.isfinite(numbers) & (np.abs(numbers) < 2.0**63)]
    whole = numbers == np.floor(numbers)
    look.count("fractions", ~whole)
    _look_at_whole(np.floor(numbers).astype(np.int64), look)


def _look_at_whole(values: Int64s, look: Look) -> None:
    look.range("value", values)
    if not len(values):
        return
    _look_at_magnitudes(np.abs(values), look)
    for width in _COMPACT:
        if _spans_years(int(values.min()), int(values.max()), width):
            _, time_ms, exists = _read_compact(values, width)
            look.count(f"dates of {width}", exists)
            if width > 8:
                look.count("not at midnight", time_ms != 0)


def _look_at_magnitudes(sizes: Int64s, look: Look) -> None:
    """By unit; 0 is the same in all."""
    least, most = int(sizes.min()), int(sizes.max())
    above = 0.0
    for unit, below in BELOW:
        if least < below and most > above:
            found = sizes if above < least and most < below else _between(sizes, above, below)
            look.range(unit, found)
            look.count(unit, len(found))
        above = below


def _between(sizes: Int64s, above: float, below: float) -> Int64s:
    return sizes[(sizes >= max(above, 1)) & (sizes < below)]


def _spans_years(least: int, most: int, width: int) -> bool:
    scale: int = 10 ** (width - 8)
    return least >= 1800_0101 * scale and most < 2201_0101 * scale


def _read_compact(values: Int64s, width: int) -> tuple[Int64s, Int64s, Mask]:
    scale = 10 ** (width - 8)
    days, is_date = days_of_compact(values // scale)
    digits = TimeLayout.HHMMSS if width == 14 else TimeLayout.HHMM
    time_ms, is_time = time_of_day_ms(values % scale, digits)
    return days, time_ms, is_date & is_time


@dataclass(frozen=True, kw_only=True)
class Strays:
    """Rows of a time column whose size shows another unit than that of most others."""

    least: int
    most: int
    rule: str

    def refuse(self, values: Int64s, places: Places) -> None:
        sizes = np.abs(values)
        refuse_rows(places, [(self.rule, (sizes >= self.least) & (sizes <= self.most))])


@dataclass(frozen=True, kw_only=True)
class Epochs:
    """`width` is that of dates without separators, or 0 for a count of `unit` since 1970, which
    may have fractions; `strays` are magnitudes of another unit."""

    width: int
    unit: Unit | None
    has_fractions: bool
    notes: tuple[str, ...]
    strays: Strays | None = None

    def local(self, stamp: pl.Series, places: Places) -> tuple[Int64s, None]:
        values, scale = self._numbers(stamp, places)
        if self.width:
            days, time_ms, exists = _read_compact(values, self.width)
            refuse_rows(places, [(f"has no {_COMPACT[self.width]} that exists", ~exists)])
            return days * DAY_MS + time_ms, None
        assert self.unit is not None
        if self.strays is not None:
            self.strays.refuse(values // scale, places)
        return to_ms(values, self.unit if scale == 1 else Unit.MS, places), None

    def _numbers(self, stamp: pl.Series, places: Places) -> tuple[Int64s, int]:
        """The numbers times a scale: 1, or 1000 when they have fractions (as seconds may)."""
        integers = stamp.cast(pl.Int64, strict=False)
        if not self.has_fractions and not stamp.dtype.is_float() and not integers.has_nulls():
            return integers.to_numpy(), 1
        numbers = _floats(stamp)
        refuse_rows(places, [("has a time that is no number", ~np.isfinite(numbers))])
        scale = 1000 if self.has_fractions else 1
        inexact = np.abs(numbers) >= _EXACT / scale
        refuse_rows(places, [("has a time too large to be exact", inexact)])
        scaled = np.rint(numbers * scale)
        finer = np.abs(numbers * scale - scaled) > 0.01
        refuse_rows(places, [("has a time finer than a millisecond", finer)])
        return scaled.astype(np.int64), scale


def epochs_of(look: Look, name: str, options: Options) -> Epochs:
    """Most of the values must be dates for the column to hold such: among moments counted from
    1970 few look like one. Raises FileRefused."""
    has_fractions = look.counts["fractions"] > 0
    claims_ms = name.lower().endswith("_ms")
    least, most = look.ranges.get("value", (0, 0))
    if options.unit is None and not has_fractions and not claims_ms:
        for width, pattern in _COMPACT.items():
            if _spans_years(least, most, width) and look.most(f"dates of {width}"):
                note = f"The time column {name!r} holds {pattern}."
                return Epochs(width=width, unit=None, has_fractions=False, notes=(note,))
    if options.unit is None and not claims_ms and plain(name) not in _COUNTED:
        _refuse_early(least, most, name)
    unit = options.unit or unit_of(max(most, -least), name, claims_ms=claims_ms)
    if has_fractions and unit is not Unit.S:
        raise refused("has times with fractions, which only seconds may have")
    guessed = options.unit is None and not claims_ms
    notes = (unit_note(name, unit),) if guessed else ()
    return Epochs(
        width=0,
        unit=unit,
        has_fractions=has_fractions,
        notes=notes,
        strays=_strays(look) if options.unit is None else None,
    )


def _refuse_early(least: int, most: int, name: str) -> None:
    if max(most, -least) >= _EARLY:
        return
    looks = ""
    if least >= 1800 and most <= 2200:
        looks = "they look like years"
    elif least >= 1800_01 and most <= 2200_12:
        looks = "they look like months as YYYYMM"
    elif least >= 10_000 and most < 110_000:
        looks = "they look like days as Excel counts them"
    raise ambiguous(
        f"is missing: the times in {name!r} go from {least} to {most}"
        f"{looks and f', {looks}'}; write dates as YYYY-MM-DD, or give what is counted since 1970",
        option="unit",
    )


def _strays(look: Look) -> Strays | None:
    """A file joined of two: what one series passes through has no jump from unit to unit."""
    found = [unit for unit, _ in BELOW if look.counts[unit]]
    for place, (lower, upper) in enumerate(pairwise(found), 1):
        if look.ranges[upper][0] <= _JUMP * look.ranges[lower][1]:
            continue
        below, above = found[:place], found[place:]
        few, many = sorted((below, above), key=lambda units: sum(look.counts[u] for u in units))
        words = f"{WORDS[few[-1]]}, where others are {WORDS[many[-1]]}"
        return Strays(
            least=look.ranges[few[0]][0],
            most=look.ranges[few[-1]][1],
            rule=f"has a time that looks like {words} (a given unit is taken for all)",
        )
    return None


def _floats(stamp: pl.Series) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    floats: np.ndarray[tuple[int], np.dtype[np.float64]]
    floats = stamp.cast(pl.Float64, strict=False).fill_null(np.nan).to_numpy()
    return floats
