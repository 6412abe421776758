"""How the rows of a version lie in time, and everything that must hold of that.

Fold indices count indicator rows and orders fill on bars, so one wrong offset
here is a look into the future everywhere else: nothing is taken on trust.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final, NamedTuple

import numpy as np

from services.dataset.domain import calendars, proposal
from services.dataset.domain.alignment import align
from services.dataset.domain.calendars import (
    Calendar,
    CalendarName,
    Gap,
    OffSlot,
)
from services.dataset.domain.sessions import SessionSource
from services.dataset.domain.times import (
    Spacing,
    Times,
    blocks,
    disorder,
    duration,
    first_of,
    iso,
    outside_years,
    spacing,
)
from services.shared.errors import InvalidRequest, Violation

MAX_GAPS: Final = 50_000  # a manifest must fit into one message


class TimestampConvention(StrEnum):
    OPEN = "open"
    CLOSE = "close"


class GapPolicy(StrEnum):
    MARK = "mark"
    REJECT = "reject"


@dataclass(frozen=True, kw_only=True)
class Clock:
    """How times are to be read; without a calendar one is proposed."""

    calendar: str | None = None
    convention: TimestampConvention = TimestampConvention.OPEN
    gap_policy: GapPolicy = GapPolicy.MARK


@dataclass(frozen=True, kw_only=True)
class Timeline:
    """Without indicators every bar counts as lookback and no bar as lookahead."""

    ohlcv_rows: int
    indicator_rows: int
    lookback_rows: int
    lookahead_rows: int
    first_ohlcv_timestamp_ms: int
    last_ohlcv_timestamp_ms: int
    first_indicator_timestamp_ms: int | None
    last_indicator_timestamp_ms: int | None
    bar_interval_ms: int
    calendar: str
    timestamp_convention: TimestampConvention
    gap_policy: GapPolicy
    gaps: tuple[Gap, ...]

    def __post_init__(self) -> None:
        if self.indicator_rows + self.lookback_rows + self.lookahead_rows != self.ohlcv_rows:
            raise ValueError(f"Lookback, indicator and lookahead rows are not all bars: {self}.")


class Reading(NamedTuple):
    timeline: Timeline
    notes: tuple[str, ...]
    warnings: tuple[str, ...]


def read_timeline(
    ohlcv: Times, indicators: Times | None, clock: Clock, sessions: SessionSource
) -> Reading:
    """Raises InvalidRequest with every rule these times break that can be told apart."""
    _refuse([*_order("ohlcv", ohlcv, 2), *_order("indicators", indicators, 1)])
    bars = spacing(ohlcv)
    chosen, why = _calendar(ohlcv, bars, clock, sessions)
    gaps = _gaps(ohlcv, chosen, _Rules(bars.interval_ms, clock.convention, clock.gap_policy))
    lookback, lookahead = align(ohlcv, indicators)
    timeline = Timeline(
        ohlcv_rows=len(ohlcv),
        indicator_rows=0 if indicators is None else len(indicators),
        lookback_rows=lookback,
        lookahead_rows=lookahead,
        first_ohlcv_timestamp_ms=int(ohlcv[0]),
        last_ohlcv_timestamp_ms=int(ohlcv[-1]),
        first_indicator_timestamp_ms=None if indicators is None else int(indicators[0]),
        last_indicator_timestamp_ms=None if indicators is None else int(indicators[-1]),
        bar_interval_ms=bars.interval_ms,
        calendar=chosen.name,
        timestamp_convention=clock.convention,
        gap_policy=clock.gap_policy,
        gaps=gaps,
    )
    note = f"Calendar {chosen.name}: {why}"
    return Reading(timeline, (note,), _warnings(ohlcv, chosen.name, bars.interval_ms, gaps))


def _order(field: str, times: Times | None, least: int) -> list[Violation]:
    if times is None:
        return []
    if len(times) < least:
        return [Violation(field, f"has {len(times)} rows, and at least {least} are needed")]
    if (row := first_of(times, outside_years)) is not None:
        rule = "which is outside the years 1800 to 2200 in UTC milliseconds"
        return [Violation(field, f"has the time {times[row]} in row {row}, {rule}")]
    if (row := first_of(times, lambda block: np.logical_or(*disorder(block)))) is not None:
        rule = f"not after {iso(times[row - 1])} of the row before"
        return [Violation(field, f"has the time {iso(times[row])} in row {row}, {rule}")]
    return []


def _calendar(
    ohlcv: Times, bars: Spacing, clock: Clock, sessions: SessionSource
) -> tuple[Calendar, str]:
    at_close = clock.convention is TimestampConvention.CLOSE
    name, why = clock.calendar, "as asked for."
    if name is None:
        proposed = proposal.propose(ohlcv, bars, sessions, at_close=at_close)
        name, why = proposed.name, proposed.why
    if message := calendars.unsupported(name, bars.interval_ms):
        _refuse([Violation("calendar", message)])
    calendar = calendars.calendar_for(name, ohlcv, bars.interval_ms, sessions)
    if name != CalendarName.OBSERVED and not proposal.is_regular(
        calendar, ohlcv, bars, at_close=at_close
    ):
        rule = "at least half are needed unless the calendar is observed"
        modal = f"{duration(bars.interval_ms)}, the most frequent distance between bars, covers"
        _refuse([Violation("calendar", f"is {name}, but {modal} {bars.share:.0%}; {rule}")])
    return calendar, why


class _Rules(NamedTuple):
    interval_ms: int
    convention: TimestampConvention
    gap_policy: GapPolicy


def _gaps(
    ohlcv: Times, calendar: Calendar, rules: _Rules, known: Timeline | None = None
) -> tuple[Gap, ...]:
    """When there is something `known`, the first bar is its last."""
    at_close = rules.convention is TimestampConvention.CLOSE
    gaps: tuple[Gap, ...] = ()
    total, off = len(known.gaps) if known else 0, OffSlot(0, ())
    for start, block in blocks(ohlcv, 1):
        ordinals, on_slot = calendar.slots(block, rules.interval_ms, at_close=at_close)
        seen = 1 if start or known else 0
        rows = np.flatnonzero(~on_slot[seen:]) + start + seen - (1 if known else 0)
        off = OffSlot(off.bars + len(rows), (*off.rows, *rows[:3].tolist())[:3])
        if off.bars or calendar.name == CalendarName.OBSERVED:
            continue
        found = calendars.gaps(ordinals, block)
        total += len(found)
        gaps = (*gaps, *found) if total <= MAX_GAPS else ()
    if message := calendars.off_slot_message(
        calendar.name, ohlcv[1 if known else 0 :], off, rules.interval_ms
    ):
        _refuse([Violation("calendar", message)])
    if total > MAX_GAPS:
        many = f"{total} gaps, and at most {MAX_GAPS} are kept: observed takes any spacing"
        _refuse([Violation("calendar", f"{calendar.name} leaves {many}")])
    if gaps and rules.gap_policy is GapPolicy.REJECT:
        _refuse([Violation("gap_policy", f"is reject, and {describe_gaps(gaps)}")])
    return gaps


class Extension(NamedTuple):
    """What bars at the end of a dataset add to its timeline."""

    gaps: tuple[Gap, ...]
    warnings: tuple[str, ...]


def extend(
    known: Timeline, ohlcv: Times, gap_policy: GapPolicy, sessions: SessionSource
) -> Extension:
    """The gaps that new bars leave, that before the first of them included.

    The bars all lie after the last one that is known; their cost does not depend
    on how many that are. Raises InvalidRequest for bars out of order, off the
    calendar's slots, or with gaps that the policy rejects.
    """
    if not len(ohlcv):
        return Extension((), ())
    last = known.last_ohlcv_timestamp_ms
    _refuse(_order("ohlcv", ohlcv, 1))
    if ohlcv[0] <= last:
        message = f"begins at {iso(ohlcv[0])}, not after the last bar at {iso(last)}"
        _refuse([Violation("ohlcv", message)])
    joined = np.concatenate(([last], ohlcv))
    rules = _Rules(known.bar_interval_ms, known.timestamp_convention, gap_policy)
    calendar = calendars.calendar_for(known.calendar, joined, known.bar_interval_ms, sessions)
    # The slots of 24x7 are where the known bars have them, not where most new ones would.
    calendar = replace(calendar, phase_ms=last % known.bar_interval_ms)
    gaps = _gaps(joined, calendar, rules, known)
    return Extension(gaps, _warnings(joined, known.calendar, known.bar_interval_ms, gaps))


def _warnings(
    ohlcv: Times, calendar: str, interval_ms: int, gaps: tuple[Gap, ...]
) -> tuple[str, ...]:
    warnings = []
    if gaps:
        warnings.append(f"In the bars {describe_gaps(gaps)}.")
    if calendar == CalendarName.OBSERVED and (pauses := calendars.long_pauses(ohlcv, interval_ms)):
        warnings.append(_pauses_told(pauses))
    return tuple(warnings)


def describe_gaps(gaps: tuple[Gap, ...]) -> str:
    missing = sum(gap.missing for gap in gaps)
    slots = "1 expected slot has" if missing == 1 else f"{missing} expected slots have"
    where = ", ".join(
        f"{gap.missing} between {iso(gap.after_ms)} and {iso(gap.before_ms)}" for gap in gaps[:3]
    )
    more = f" and in {len(gaps) - 3} more gaps" if len(gaps) > 3 else ""
    return f"{slots} no bar: {where}{more}"


def _pauses_told(pauses: tuple[Gap, ...]) -> str:
    longest = max(pauses, key=lambda pause: pause.before_ms - pause.after_ms)
    return (
        f"There are {len(pauses)} long pauses, the longest from {iso(longest.after_ms)} "
        f"to {iso(longest.before_ms)}."
    )


def _refuse(violations: list[Violation]) -> None:
    if violations:
        raise InvalidRequest(violations)
