"""Arrays of UTC milliseconds: their order, their spacing, and how people read them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

import numpy as np
from numpy.typing import NDArray

Times = NDArray[np.int64]

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


def first_disorder(times: Times) -> int | None:
    """The first row whose time is not after that of the row before it."""
    backward = np.flatnonzero(np.diff(times) <= 0)
    return int(backward[0]) + 1 if len(backward) else None


def first_outside_years(times: Times) -> int | None:
    """The first row outside the years 1800 to 2200."""
    outside = np.flatnonzero((times < FIRST_MS) | (times >= END_MS))
    return int(outside[0]) if len(outside) else None


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
