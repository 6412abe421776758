"""Arrays of UTC milliseconds: their order, their spacing, and how people read them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

Times = NDArray[np.int64]
Mask = NDArray[np.bool_]

SECOND_MS: Final = 1_000
MINUTE_MS: Final = 60 * SECOND_MS
HOUR_MS: Final = 60 * MINUTE_MS
DAY_MS: Final = 24 * HOUR_MS
WEEK_MS: Final = 7 * DAY_MS
FIRST_MS: Final = -5_364_662_400_000  # 1800-01-01
END_MS: Final = 7_289_654_400_000  # 2201-01-01, exclusive

_UNITS: Final = {"w": WEEK_MS, "d": DAY_MS, "h": HOUR_MS, "m": MINUTE_MS, "s": SECOND_MS, "ms": 1}
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Spacing:
    """The most frequent distance between neighbours, and the share of distances that have it."""

    interval_ms: int
    share: float

    @property
    def is_regular(self) -> bool:
        return self.share >= 0.5


def spacing(times: Times) -> Spacing:
    """Of at least two strictly increasing times; among equally frequent distances the least."""
    deltas, counts = np.unique(np.diff(times), return_counts=True)
    modal = int(np.argmax(counts))
    return Spacing(int(deltas[modal]), float(counts[modal] / (len(times) - 1)))


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
