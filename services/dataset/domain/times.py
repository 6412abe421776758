"""Arrays of UTC milliseconds: their order, their spacing, and how people read them.

An array may lie in a mapped file and be larger than memory: what goes over all of it goes
over its `blocks`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

Times = NDArray[np.int64]
Mask = NDArray[np.bool_]

BLOCK_ROWS: Final = 1 << 18
SECOND_MS: Final = 1_000
MINUTE_MS: Final = 60 * SECOND_MS
HOUR_MS: Final = 60 * MINUTE_MS
DAY_MS: Final = 24 * HOUR_MS
WEEK_MS: Final = 7 * DAY_MS
FIRST_MS: Final = -5_364_662_400_000  # 1800-01-01
END_MS: Final = 7_289_654_400_000  # 2201-01-01, exclusive

_UNITS: Final = {
    "w": WEEK_MS,
    "d": DAY_MS,
    "h": HOUR_MS,
    "m": MINUTE_MS,
    "min": MINUTE_MS,
    "s": SECOND_MS,
    "ms": 1,
}
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Spacing:
    """The most frequent distance between neighbours, and the share of distances that have it."""

    interval_ms: int
    share: float

    @property
    def is_regular(self) -> bool:
        return self.share >= 0.5


def blocks(times: Times, overlap: int = 0) -> Iterator[tuple[int, Times]]:
    """The times piece by piece, each with the row it begins at: `overlap` rows come again."""
    for start in range(0, len(times), BLOCK_ROWS):
        first_row = max(0, start - overlap)
        yield first_row, times[first_row : start + BLOCK_ROWS]


def most_frequent(pieces: Iterable[Times]) -> tuple[int, int]:
    """A value and how often it comes; among equally frequent ones the least."""
    values, counts = np.empty(0, np.int64), np.empty(0, np.int64)
    for piece in pieces:
        more, how_often = np.unique(piece, return_counts=True)
        values, where = np.unique(np.concatenate((values, more)), return_inverse=True)
        counts = np.bincount(where, np.concatenate((counts, how_often)), len(values))
    modal = int(np.argmax(counts))
    return int(values[modal]), int(counts[modal])


def spacing(times: Times) -> Spacing:
    """Of at least two strictly increasing times; among equally frequent distances the least."""
    interval_ms, count = most_frequent(np.diff(block) for _, block in blocks(times, 1))
    return Spacing(interval_ms, count / (len(times) - 1))


class Disorder(NamedTuple):
    """Which rows repeat the time of the row before, and which go back from it."""

    repeated: Mask
    backward: Mask


def disorder(times: Times) -> Disorder:
    """Of at least one row."""
    steps = np.diff(times, prepend=times[0] - 1)
    return Disorder(steps == 0, steps < 0)


def outside_years(times: Times) -> Mask:
    """Which rows lie outside the years 1800 to 2200."""
    return (times < FIRST_MS) | (times >= END_MS)


def first_of(times: Times, broken: Callable[[Times], Mask]) -> int | None:
    """The first row that is broken, also beside the row before it."""
    for start, block in blocks(times, 1):
        if (row := first(broken(block))) is not None:
            return start + row
    return None


def first_difference(times: Times, others: Times) -> int:
    """The first row that is another, or that only one of them has."""
    for start, block in blocks(times[: len(others)]):
        row = first(block != others[start : start + len(block)])
        if row is not None:
            return start + row
    return min(len(times), len(others))


def first(rows: Mask) -> int | None:
    found = np.flatnonzero(rows)
    return int(found[0]) if len(found) else None


def iso(time_ms: int) -> str:
    moment = _EPOCH + timedelta(milliseconds=int(time_ms))
    return moment.isoformat(timespec="milliseconds" if time_ms % 1000 else "seconds")[:-6] + "Z"


def duration(milliseconds: int) -> str:
    """The shortest exact name of a length of time: 4h, 1d, 90s."""
    unit = next(name for name, size in _UNITS.items() if milliseconds % size == 0)
    return f"{milliseconds // _UNITS[unit]}{unit}"


def parse_duration(text: str) -> int | None:
    """Milliseconds of a text like 4h, 1d or 15m; None when it is not one."""
    digits = text.rstrip("abcdefghijklmnopqrstuvwxyz")
    size = _UNITS.get(text[len(digits) :])
    return int(digits) * size if size and digits.isascii() and digits.isdigit() else None
