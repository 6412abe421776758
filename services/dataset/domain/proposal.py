"""Which calendar a file of bars keeps, when nobody has said."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from services.dataset.domain.calendars import (
    Calendar,
    CalendarName,
    calendar_for,
    unsupported,
)
from services.dataset.domain.sessions import SessionSource
from services.dataset.domain.times import DAY_MS, Spacing, Times, blocks
from services.shared.errors import InvalidRequest

# The best known first: of several that fit equally well the first is proposed.
LARGE_EXCHANGES: Final = (
    *("XNYS", "XLON", "XETR", "XTKS", "XHKG", "XPAR", "CMES", "XSHG", "XTSE", "XASX", "XSWX"),
    *("XBOM", "XAMS", "XMIL", "XMAD"),
)
_SAME_HOURS: Final = {"XNYS": "XNAS", "XETR": "XFRA"}


@dataclass(frozen=True)
class Fit:
    """How well bars keep a calendar: bars off its slots, and the share of slots left out."""

    off_slot: int
    missing_share: float


_NO_FIT: Final = Fit(off_slot=0, missing_share=1.0)


_TOO_SHORT: Final = (
    "The bars are too few to tell the calendar: there is no weekend among them, and they show no "
    "market's sessions as a whole. Give 24x7, 24x5_fx or the code of an exchange, for the calendar "
    "holds for all that is appended."
)


@dataclass(frozen=True)
class Proposal:
    name: str
    why: str


def propose(
    times: Times, spacing: Spacing, source: SessionSource, *, at_close: bool = False
) -> Proposal:
    """The calendar these bars keep, and the reason in a sentence."""
    bars = _Bars(times, spacing, source, at_close)
    always, fx = bars.fit(CalendarName.ALWAYS), bars.fit(CalendarName.FX)
    if _keeps(always, 0.1) and (fx.off_slot or always.missing_share <= fx.missing_share):
        return _round_the_clock(bars, always, fx)
    most_missing = 0.02 if spacing.interval_ms == DAY_MS else 0.1
    exchanges = [] if _is_whole(fx) else bars.exchanges(most_missing)
    best = min((found.missing_share for _, found in exchanges), default=1.0)
    # Exchanges close on some 4 % of weekdays, the currency market on less than 1 %.
    if _keeps(fx, most_missing) and fx.missing_share <= best:
        return Proposal(CalendarName.FX, _fx_week(fx))
    if exchanges:
        equal = [code for code, found in exchanges if found.missing_share == best]
        return Proposal(equal[0], _exchange(equal, best))
    if not spacing.is_regular:
        return Proposal(CalendarName.OBSERVED, _irregular(spacing))
    return Proposal(CalendarName.OBSERVED, _none(always, fx))


def _round_the_clock(bars: _Bars, always: Fit, fx: Fit) -> Proposal:
    """Without a bar at a weekend the hours of a market may describe them as well.

    A calendar holds for all that is appended, so only whole sessions are taken to show one.
    """
    if fx == _NO_FIT or fx.off_slot:
        return Proposal(CalendarName.ALWAYS, _every_slot(always))
    if _keeps(fx, always.missing_share) and bars.are_whole_sessions(CalendarName.FX):
        return Proposal(CalendarName.FX, _fx_week(fx))
    found = bars.exchanges(always.missing_share)
    equal = [code for code, _ in found if bars.are_whole_sessions(code)]
    if equal:
        return Proposal(equal[0], _exchange(equal, always.missing_share))
    return Proposal(CalendarName.OBSERVED, _TOO_SHORT)


@dataclass(frozen=True)
class _Bars:
    times: Times
    spacing: Spacing
    source: SessionSource
    at_close: bool

    def fit(self, name: str) -> Fit:
        interval_ms = self.spacing.interval_ms
        if unsupported(name, interval_ms):
            return _NO_FIT
        calendar = calendar_for(name, self.times, interval_ms, self.source)
        if not is_regular(calendar, self.times, self.spacing, at_close=self.at_close):
            return _NO_FIT
        off_slot = 0
        for _, block in blocks(self.times):
            on_slot = calendar.slots(block, interval_ms, at_close=self.at_close).on_slot
            off_slot += int(np.count_nonzero(~on_slot))
        if off_slot:
            return Fit(off_slot, 1.0)
        ends = calendar.slots(self.times[[0, -1]], interval_ms, at_close=self.at_close).ordinals
        span = int(ends[1] - ends[0]) + 1
        return Fit(0, 1 - len(self.times) / span)

    def exchanges(self, most_missing: float) -> list[tuple[str, Fit]]:
        """Those that the bars keep."""
        fits = ((code, self._exchange_fit(code)) for code in LARGE_EXCHANGES)
        return [(code, found) for code, found in fits if _keeps(found, most_missing)]

    def are_whole_sessions(self, name: str) -> bool:
        """Whether they begin with a session and end with one. Days do not show it."""
        interval_ms, first, last = self.spacing.interval_ms, self.times[0], self.times[-1]
        sessions = calendar_for(name, self.times, interval_ms, self.source).sessions
        if sessions is None or interval_ms >= DAY_MS or not len(sessions.starts):
            return False
        begin, end = (first - interval_ms, last) if self.at_close else (first, last + interval_ms)
        its_own = np.searchsorted(sessions.starts, end, side="left") - 1
        return bool(np.isin(begin, sessions.starts) and end >= sessions.ends[its_own])

    def _exchange_fit(self, code: str) -> Fit:
        try:
            return self.fit(code)
        except InvalidRequest:  # its hours are not known for these years
            return _NO_FIT


def is_regular(calendar: Calendar, times: Times, spacing: Spacing, *, at_close: bool) -> bool:
    """Whether at least half of the distances are the modal one.

    Two 4-hour bars a day have as many nights between them as 4 hours, so of an
    exchange only the distances within its hours count.
    """
    if spacing.is_regular or calendar.sessions is None or spacing.interval_ms >= DAY_MS:
        return spacing.is_regular
    interval_ms = spacing.interval_ms
    return calendar.sessions.share_of(interval_ms, times, at_close=at_close) >= 0.5


def _keeps(fit: Fit, missing_share: float) -> bool:
    return not fit.off_slot and fit.missing_share <= missing_share


def _is_whole(fit: Fit) -> bool:
    return _keeps(fit, 0.0)


def _every_slot(always: Fit) -> str:
    return (
        f"Bars come round the clock on every day, with {always.missing_share:.2%} of slots empty."
    )


def _fx_week(fx: Fit) -> str:
    return (
        "Every bar lies between Sunday 17:00 and Friday 17:00 of New York, "
        f"with {fx.missing_share:.2%} of those slots empty."
    )


def _exchange(equal: list[str], missing_share: float) -> str:
    code, *others = equal
    same = f" (as of {_SAME_HOURS[code]})" if code in _SAME_HOURS else ""
    fits = (
        f"Every bar is on a slot of the trading hours of {code}{same}, "
        f"with {missing_share:.2%} of those slots empty."
    )
    if not others:
        return fits
    more = f"{', '.join(others)} fit equally well" if others[1:] else f"{others[0]} fits as well"
    return f"{fits} {more}; {code} is the best known of them."


def _irregular(spacing: Spacing) -> str:
    return f"The most frequent distance between bars covers only {spacing.share:.0%} of them."


def _none(always: Fit, fx: Fit) -> str:
    return (
        f"Neither 24x7 ({_misfit(always)}) nor 24x5_fx ({_misfit(fx)}) nor the hours of a large "
        "exchange describe the bars, so no gaps are found; the code of another exchange can be "
        "given."
    )


def _misfit(fit: Fit) -> str:
    if fit.off_slot:
        return f"{fit.off_slot} bars off its slots"
    return f"{fit.missing_share:.0%} of its slots empty"
