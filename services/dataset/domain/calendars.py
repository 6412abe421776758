"""When a bar is expected: calendars number the slots of time, and gaps are numbers left out.

A calendar turns times into slot ordinals; consecutive slots have consecutive
ordinals, whatever lies between them (a weekend, a shift of the clocks). So a
gap is a jump of more than one, found for all bars at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from services.dataset.domain.sessions import Sessions, SessionSource, Slots, fx_sessions
from services.dataset.domain.times import (
    DAY_MS,
    Times,
    blocks,
    duration,
    iso,
    most_frequent,
)


class CalendarName(StrEnum):
    """Calendars of our own; all others are codes of exchanges."""

    ALWAYS = "24x7"
    FX = "24x5_fx"
    OBSERVED = "observed"


@dataclass(frozen=True, kw_only=True, slots=True)
class Gap:
    """Expected slots without a bar, between two bars that are there."""

    after_ms: int
    before_ms: int
    missing: int


@dataclass(frozen=True, kw_only=True, eq=False)
class Calendar:
    """A name and a way to number slots.

    With `sessions` by these, else every `interval_ms` from any time of this phase on. `observed`
    takes every bar for the next slot.
    """

    name: str
    phase_ms: int = 0
    sessions: Sessions | None = None

    def slots(self, times: Times, interval_ms: int, *, at_close: bool = False) -> Slots:
        """Of open times, or of close times; days are the same in both."""
        if self.sessions is not None:
            return self.sessions.slots(times, interval_ms, at_close=at_close)
        if self.name == CalendarName.OBSERVED:
            return Slots(np.arange(len(times), dtype=np.int64), np.ones(len(times), bool))
        ordinals, rest = np.divmod(times - self.phase_ms, interval_ms)
        return Slots(ordinals, rest == 0)


def calendar_for(name: str, times: Times, interval_ms: int, source: SessionSource) -> Calendar:
    """The calendar of this name for bars of these times. Raises InvalidRequest as `source` does."""
    if name == CalendarName.OBSERVED:
        return Calendar(name=name)
    if name == CalendarName.ALWAYS:
        return Calendar(name=name, phase_ms=_usual_phase(times, interval_ms))
    first, last = int(times.min()), int(times.max())
    sessions = fx_sessions(first, last) if name == CalendarName.FX else source(name, first, last)
    return Calendar(name=name, sessions=sessions)


def _usual_phase(times: Times, interval_ms: int) -> int:
    """4-hour bars may begin at 02:00."""
    phase_ms, _ = most_frequent(block % interval_ms for _, block in blocks(times))
    return phase_ms


def gaps(ordinals: NDArray[np.int64], times: Times) -> tuple[Gap, ...]:
    """Of bars that are all on slots; `times` are what the gaps are told in."""
    steps = np.diff(ordinals)
    before = np.flatnonzero(steps > 1)
    return tuple(_gap(times, row, int(steps[row]) - 1) for row in before.tolist())


def long_pauses(times: Times, interval_ms: int) -> tuple[Gap, ...]:
    """Under `observed`: pauses of over four days and three bars. Nothing is missing in them."""
    longest_ms = max(4 * DAY_MS, 3 * interval_ms)
    return tuple(
        _gap(block, row, 0)
        for _, block in blocks(times, 1)
        for row in np.flatnonzero(np.diff(block) > longest_ms).tolist()
    )


def _gap(times: Times, row: int, missing: int) -> Gap:
    return Gap(after_ms=int(times[row]), before_ms=int(times[row + 1]), missing=missing)


def unsupported(name: str, interval_ms: int) -> str | None:
    """Why bars of this length cannot be counted by this calendar."""
    if name in (CalendarName.ALWAYS, CalendarName.OBSERVED) or interval_ms <= DAY_MS:
        return None
    return (
        f"is {name}, which counts bars of at most a day, and these are {duration(interval_ms)} "
        "long: observed takes any spacing"
    )


class OffSlot(NamedTuple):
    """How many bars are on no slot, and the first of them."""

    bars: int
    rows: Sequence[int]


def off_slot_message(name: str, times: Times, off: OffSlot, interval_ms: int) -> str | None:
    if not off.bars:
        return None
    first = ", ".join(f"bar {row} at {iso(times[row])}" for row in off.rows)
    return (
        f"is {name}, but {off.bars} bars are on none of its slots: {first}; "
        f"{_expected(name, interval_ms)}observed takes any spacing"
    )


def _expected(name: str, interval_ms: int) -> str:
    if name == CalendarName.ALWAYS:
        return ""
    if interval_ms == DAY_MS:
        return "daily bars carry their session's date at 00:00 UTC; "
    return "" if name == CalendarName.FX else "bars are counted from the opening of each session; "
