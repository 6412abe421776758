"""When a bar is expected: calendars number the slots of time, and gaps are numbers left out.

A calendar turns times into slot ordinals; consecutive slots have consecutive
ordinals, whatever lies between them (a weekend, a shift of the clocks). So a
gap is a jump of more than one, found for all bars at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from services.dataset.domain.times import DAY_MS, WEEK_MS, Times, duration, iso

NEW_YORK: Final = ZoneInfo("America/New_York")
FX_OPEN_MS: Final = 5 * DAY_MS  # Sunday 17:00 to Friday 17:00
MONDAY_MS: Final = 4 * DAY_MS  # 1970-01-05, the epoch's first Monday


class CalendarName(StrEnum):
    ALWAYS = "24x7"
    FX = "24x5_fx"
    OBSERVED = "observed"


@dataclass(frozen=True, kw_only=True, slots=True)
class Gap:
    """Expected slots without a bar, between two bars that are there."""

    after_ms: int
    before_ms: int
    missing: int


class Slots(NamedTuple):
    """The ordinal of each bar's slot, and whether the bar is on one at all."""

    ordinals: NDArray[np.int64]
    on_slot: NDArray[np.bool_]


def slots(name: CalendarName, opens: Times, interval_ms: int) -> Slots:
    """Slots of open times. `observed` takes every bar for the next slot."""
    if name is CalendarName.FX:
        return _fx_days(opens) if interval_ms == DAY_MS else _fx_slots(opens, interval_ms)
    if name is CalendarName.ALWAYS:
        return _always_slots(opens, interval_ms)
    return Slots(np.arange(len(opens), dtype=np.int64), np.ones(len(opens), bool))


def gaps(ordinals: NDArray[np.int64], times: Times) -> tuple[Gap, ...]:
    """Of bars that are all on slots; `times` are what the gaps are told in."""
    steps = np.diff(ordinals)
    before = np.flatnonzero(steps > 1)
    return tuple(_gap(times, row, int(steps[row]) - 1) for row in before.tolist())


def long_pauses(times: Times, interval_ms: int) -> tuple[Gap, ...]:
    """Under `observed`: pauses of over four days and three bars. Nothing is missing in them."""
    before = np.flatnonzero(np.diff(times) > max(4 * DAY_MS, 3 * interval_ms))
    return tuple(_gap(times, row, 0) for row in before.tolist())


def _gap(times: Times, row: int, missing: int) -> Gap:
    return Gap(after_ms=int(times[row]), before_ms=int(times[row + 1]), missing=missing)


def unsupported(name: CalendarName, interval_ms: int) -> str | None:
    """Why bars of this length cannot be counted by this calendar."""
    if name is CalendarName.FX and interval_ms > DAY_MS:
        return f"counts bars of at most a day, and these are {duration(interval_ms)} long"
    return None


def off_slot_message(name: CalendarName, times: Times, on_slot: NDArray[np.bool_]) -> str | None:
    """Names the first bars that are on no slot."""
    rows = np.flatnonzero(~on_slot)
    if not len(rows):
        return None
    first = ", ".join(f"bar {row} at {iso(times[row])}" for row in rows[:3])
    return (
        f"is {name}, but {len(rows)} bars are on none of its slots: {first}; "
        "observed takes any spacing"
    )


def _always_slots(opens: Times, interval_ms: int) -> Slots:
    """Slots share the phase that most bars have: 4-hour bars may begin at 02:00."""
    phases, counts = np.unique(opens % interval_ms, return_counts=True)
    phase = phases[np.argmax(counts)]
    return Slots((opens - phase) // interval_ms, (opens - phase) % interval_ms == 0)


def _fx_days(opens: Times) -> Slots:
    """Daily bars carry their session's date at 00:00 UTC; Sunday evening is Monday's session."""
    weeks, since_monday = np.divmod(opens - MONDAY_MS, WEEK_MS)
    days, rest = np.divmod(since_monday, DAY_MS)
    return Slots(weeks * 5 + days, (rest == 0) & (days < 5))


def _fx_slots(opens: Times, interval_ms: int) -> Slots:
    week_opens = _fx_week_opens(int(opens.min()), int(opens.max()))
    weeks = np.searchsorted(week_opens, opens, side="right") - 1
    since_open = opens - week_opens[weeks]
    per_week = -(-FX_OPEN_MS // interval_ms)
    on_slot = (since_open < FX_OPEN_MS) & (since_open % interval_ms == 0)
    return Slots(weeks * per_week + since_open // interval_ms, on_slot)


def _fx_week_opens(first_ms: int, last_ms: int) -> Times:
    """Each Sunday 17:00 of New York in UTC. The clocks shift while the market is closed."""
    sunday = datetime.fromtimestamp(0, UTC) + timedelta(milliseconds=first_ms)
    sunday -= timedelta(days=(sunday.weekday() + 1) % 7 + 7)
    first = sunday.replace(hour=17, minute=0, second=0, microsecond=0, tzinfo=NEW_YORK)
    count = (last_ms - first_ms) // WEEK_MS + 3
    opens = [(first + timedelta(weeks=week)).timestamp() for week in range(count)]
    return np.array(opens, dtype=np.int64) * 1000
