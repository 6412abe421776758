"""When a market is open, and the slots that its hours have for bars."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple, TypeAlias
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from services.dataset.domain.times import DAY_MS, WEEK_MS, Times, blocks

NEW_YORK: Final = ZoneInfo("America/New_York")
FX_OPEN_MS: Final = 5 * DAY_MS  # Sunday 17:00 to Friday 17:00


class Slots(NamedTuple):
    """The ordinal of each bar's slot, and whether the bar is on one at all.

    An ordinal means something beside the others of the same call, and only on a slot.
    """

    ordinals: NDArray[np.int64]
    on_slot: NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True, eq=False)
class Sessions:
    """When a market is open: unbroken stretches in order, and the dates of its days.

    Bars shorter than a day are counted from the start of each stretch, the last of which may be
    shorter than the others. Daily bars carry their session's date at 00:00 UTC.
    """

    starts: Times
    ends: Times
    dates: Times

    @classmethod
    def none(cls) -> Sessions:
        empty = np.empty(0, np.int64)
        return cls(starts=empty, ends=empty, dates=empty)

    def slots(self, times: Times, interval_ms: int, *, at_close: bool) -> Slots:
        if interval_ms == DAY_MS:
            return self._days(times)
        if not len(self.starts):
            return _nowhere(times)
        stretch = self._stretches(times, at_close=at_close)
        since = times - self.starts[stretch]
        length = self.ends[stretch] - self.starts[stretch]
        if at_close:  # the last bar closes with the session, however short it is
            number = -(-since // interval_ms) - 1
            on_slot = (since > 0) & ((since % interval_ms == 0) | (since == length))
            on_slot &= since <= length
        else:
            number = since // interval_ms
            on_slot = (since >= 0) & (since < length) & (since % interval_ms == 0)
        counts = -(-(self.ends - self.starts) // interval_ms)
        before = np.cumsum(counts) - counts
        return Slots(before[stretch] + number, on_slot)

    def share_of(self, interval_ms: int, times: Times, *, at_close: bool) -> float:
        """How many of the distances within stretches are of this length; 0 without any."""
        if not len(self.starts):
            return 0.0
        count = equal = 0
        for _, block in blocks(times, 1):
            within = np.diff(self._stretches(block, at_close=at_close)) == 0
            distances = np.diff(block)[within]
            count += len(distances)
            equal += int(np.count_nonzero(distances == interval_ms))
        return equal / count if count else 0.0

    def _days(self, times: Times) -> Slots:
        if not len(self.dates):
            return _nowhere(times)
        ordinals = np.searchsorted(self.dates, times, side="right") - 1
        return Slots(ordinals, self.dates[ordinals] == times)

    def _stretches(self, times: Times, *, at_close: bool) -> NDArray[np.int64]:
        """The last one that has begun; an end still belongs to its own."""
        found = np.searchsorted(self.starts, times, side="left" if at_close else "right") - 1
        return np.maximum(found, 0)


def _nowhere(times: Times) -> Slots:
    return Slots(np.arange(len(times), dtype=np.int64), np.zeros(len(times), bool))


SessionSource: TypeAlias = Callable[[str, int, int], Sessions]
"""Of an exchange, from the first to the last time. Raises InvalidRequest for unknown years."""


def fx_sessions(first_ms: int, last_ms: int) -> Sessions:
    """Each Sunday 17:00 to Friday 17:00 of New York; Sunday evening is Monday's session."""
    opens = _fx_week_opens(first_ms, last_ms)
    monday = (opens // DAY_MS + 1) * DAY_MS
    dates = monday[:, np.newaxis] + DAY_MS * np.arange(5)
    return Sessions(starts=opens, ends=opens + FX_OPEN_MS, dates=dates.ravel())


def _fx_week_opens(first_ms: int, last_ms: int) -> Times:
    """Each Sunday 17:00 of New York in UTC. The clocks shift while the market is closed."""
    sunday = datetime.fromtimestamp(0, UTC) + timedelta(milliseconds=first_ms)
    sunday -= timedelta(days=(sunday.weekday() + 1) % 7 + 7)
    first = sunday.replace(hour=17, minute=0, second=0, microsecond=0, tzinfo=NEW_YORK)
    count = (last_ms - first_ms) // WEEK_MS + 3
    opens = [(first + timedelta(weeks=week)).timestamp() for week in range(count)]
    return np.array(opens, dtype=np.int64) * 1000
