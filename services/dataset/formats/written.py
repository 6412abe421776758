"""The fields of dates and times written out, of one block, before it is known what they mean.

Where all texts have one shape (digits and signs at the same places), the fields are cut out of
a matrix of bytes; other blocks are matched text by text, which takes fifty times as long.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

import numpy as np
import polars as pl
import pyarrow as pa
from numpy.typing import NDArray

from services.dataset.formats.refusal import Int64s, Mask

STAMP: Final = (
    r"^([0-9./-]+)(?:[T ]+([0-9][0-9:.,]*(?: ?[AaPp][Mm])?)"
    r" ?((?:Z|UTC|GMT)?(?:[+-][0-9]{1,2}(?::?[0-9]{2})?)?))?$"
)
_DATE: Final = r"^([0-9]{1,4})([-./])([0-9]{1,2})([-./])([0-9]{1,4})$"
_TIME: Final = r"^([0-9]{1,2}):([0-9]{2})(?::([0-9]{2})(?:[.,]([0-9]{1,9}))?)?(?: ?([AaPp])[Mm])?$"
_OFFSET: Final = r"([+-])([0-9]{1,2}):?([0-9]{2})?$"
_COMPACT: Final = r"^[0-9]{8}$"
_DIGITS: Final = r"^[0-9]{1,6}$"
_ZERO = ord("0")

Bytes = NDArray[np.uint8]


class Texts:
    """Texts of one column; null where there is none."""

    def __init__(self, texts: pl.Series) -> None:
        self.texts = texts

    def __len__(self) -> int:
        return len(self.texts)

    def present(self) -> Mask:
        return _mask(self.texts.is_not_null())

    def matches(self, pattern: str) -> Mask:
        return _mask(self.texts.str.contains(pattern))

    def groups(self, pattern: str, count: int) -> list[Texts]:
        parts = self.texts.str.extract_groups(pattern).struct.unnest()
        return [Texts(parts[str(group + 1)]) for group in range(count)]

    def ints(self, *, fill: str = "0", pad: int = 0) -> Int64s:
        texts = self.texts.fill_null(fill)
        if pad:
            texts = texts.str.pad_end(pad, "0")
        return texts.cast(pl.Int64, strict=False).fill_null(0).to_numpy()

    def widths(self) -> Int64s:
        return self.texts.str.len_bytes().fill_null(0).cast(pl.Int64).to_numpy()

    def equals(self, *signs: str) -> Mask:
        return _mask(self.texts.is_in(signs))


class SameShape(Texts):
    """Texts that differ in their digits alone: what holds for the first holds for all.

    `digits` has a row for each place in the text.
    """

    def __init__(self, rows: int, first: str | None, digits: Bytes) -> None:
        self._rows, self._first, self._digits = rows, first, digits

    def __len__(self) -> int:
        return self._rows

    def present(self) -> Mask:
        return self._all(self._first is not None)

    def matches(self, pattern: str) -> Mask:
        return self._all(self._first is not None and re.search(pattern, self._first) is not None)

    def groups(self, pattern: str, count: int) -> list[Texts]:
        found = None if self._first is None else re.search(pattern, self._first)
        return [self._cut(found, group + 1) for group in range(count)]

    def _cut(self, found: re.Match[str] | None, group: int) -> SameShape:
        if found is None or found[group] is None:
            return SameShape(self._rows, None, self._digits[:0])
        return SameShape(self._rows, found[group], self._digits[slice(*found.span(group))])

    def ints(self, *, fill: str = "0", pad: int = 0) -> Int64s:
        if self._first is None:
            return np.full(self._rows, int(fill.ljust(pad, "0")), np.int64)
        if not self._first.isdigit():
            return np.zeros(self._rows, np.int64)
        values = np.zeros(self._rows, np.int64)
        for digit in self._digits:
            values *= 10
            values += digit
        values *= 10 ** max(0, pad - len(self._first))
        return values

    def widths(self) -> Int64s:
        return np.full(self._rows, len(self._first or ""), np.int64)

    def equals(self, *signs: str) -> Mask:
        return self._all(self._first in signs)

    def _all(self, holds: bool) -> Mask:
        return np.full(self._rows, holds)


def _no_texts(rows: int) -> SameShape:
    return SameShape(rows, None, np.empty((0, rows), np.uint8))


def texts_of(series: pl.Series) -> Texts:
    return _same_shape(series) or Texts(series)


def _same_shape(series: pl.Series) -> SameShape | None:
    if not len(series) or series.null_count():
        return None
    array = series.to_arrow(compat_level=pl.CompatLevel.oldest()).cast(pa.large_string())
    _, offsets, data = array.buffers()
    ends = np.frombuffer(offsets, np.int64)[array.offset : array.offset + len(array) + 1]
    width = int(ends[1] - ends[0])
    if not width or data is None or not bool((np.diff(ends) == width).all()):
        return None
    rows = np.frombuffer(data, np.uint8)[ends[0] : ends[-1]].reshape(-1, width)
    places = np.array(rows.T, order="C", copy=True)
    text = rows[0].tobytes().decode(errors="replace")
    if not text.isascii():
        return None
    for place, sign in zip(places, text, strict=True):
        place -= _ZERO
        if not bool((place < 10).all() if sign.isdigit() else (place == place[0]).all()):
            return None
    return SameShape(len(rows), text, places)


@dataclass(frozen=True, kw_only=True)
class Times:
    """Times of day: absent, digits alone (`numeric`), or with colons (`is_written`)."""

    present: Mask
    numeric: Mask
    value: Int64s
    width: Int64s
    zero_filled: Mask
    is_written: Mask
    ms: Int64s
    exists: Mask
    finer: Mask


@dataclass(frozen=True, kw_only=True)
class Written:
    """A date is digits alone (`compact`) or three fields; offsets are east of UTC."""

    is_stamp: Mask
    compact: Mask
    digits: Int64s
    year_first: Mask
    year_last: Mask
    first: Int64s
    middle: Int64s
    last: Int64s
    times: Times
    has_offset: Mask
    offset_ms: Int64s
    offset_exists: Mask

    def __len__(self) -> int:
        return len(self.is_stamp)


def written(stamp: pl.Series, time: pl.Series | None) -> Written:
    """Of texts in one column, or of a date and a time column; none is null."""
    nothing = _no_texts(len(stamp))
    if time is None:
        date, clock, offset = texts_of(stamp).groups(STAMP, 3)
    else:
        date, clock, offset = texts_of(stamp), texts_of(time), nothing
    compact = date.matches(_COMPACT)
    fields = [nothing] * 5 if compact.all() else date.groups(_DATE, 5)
    first, sign, middle, sign2, last = fields
    short, same = (first.widths() > 0) & (first.widths() <= 2), _same(sign, sign2)
    direction, hours, minutes = offset.groups(_OFFSET, 3)
    east = np.where(direction.equals("-"), -1, 1)
    return Written(
        is_stamp=date.present(),
        compact=compact,
        digits=date.ints(),
        year_first=(first.widths() == 4) & (last.widths() <= 2) & same,
        year_last=short & (last.widths() == 4) & same,
        first=first.ints(),
        middle=middle.ints(),
        last=last.ints(),
        times=_times(clock),
        has_offset=offset.widths() > 0,
        offset_ms=east * (hours.ints() * 60 + minutes.ints()) * 60_000,
        offset_exists=(hours.ints() <= 15) & (minutes.ints() <= 59),
    )


def _times(clock: Texts) -> Times:
    numeric = clock.matches(_DIGITS)
    fields = [_no_texts(len(clock))] * 5 if numeric.all() else clock.groups(_TIME, 5)
    hours, minutes, seconds, fraction, half = fields
    hour, minute, second = hours.ints(), minutes.ints(), seconds.ints()
    nanos = fraction.ints(pad=9)
    twelve = half.present()
    hour_exists = np.where(twelve, (hour >= 1) & (hour <= 12), hour < 24)
    hour = np.where(twelve, hour % 12 + 12 * half.equals("p", "P"), hour)
    width = clock.widths()
    return Times(
        present=clock.present(),
        numeric=numeric,
        value=clock.ints(),
        width=width,
        zero_filled=_begins_with_zero(clock) & (width > 1),
        is_written=hours.present(),
        ms=((hour * 60 + minute) * 60 + second) * 1000 + nanos // 1_000_000,
        exists=hour_exists & (minute < 60) & (second < 60),
        finer=nanos % 1_000_000 != 0,
    )


def _same(left: Texts, right: Texts) -> Mask:
    same = [left.equals(sign) & right.equals(sign) for sign in "-./"]
    either: Mask = np.logical_or.reduce(same)
    return either


def _begins_with_zero(clock: Texts) -> Mask:
    value, width = clock.ints(), clock.widths()
    scale = np.power(10, np.clip(width - 1, 0, 17))
    return value < scale


def _mask(series: pl.Series) -> Mask:
    return series.fill_null(False).to_numpy().astype(np.bool_, copy=False)
