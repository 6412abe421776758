"""Which calendar a file of bars keeps, when nobody has said."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from services.dataset.domain.calendars import CalendarName, slots, unsupported
from services.dataset.domain.times import DAY_MS, Spacing, Times


@dataclass(frozen=True)
class Fit:
    """How well bars keep a calendar: bars off its slots, and the share of slots left out."""

    off_slot: int
    missing_share: float


@dataclass(frozen=True)
class Proposal:
    name: CalendarName
    why: str


def propose(opens: Times, spacing: Spacing) -> Proposal:
    """The calendar these bars keep, and the reason in a sentence."""
    interval_ms = spacing.interval_ms
    if not spacing.is_regular:
        return Proposal(
            CalendarName.OBSERVED,
            f"The most frequent distance between bars covers only {spacing.share:.0%} of them.",
        )
    always = fit(CalendarName.ALWAYS, opens, interval_ms)
    fx = fit(CalendarName.FX, opens, interval_ms)
    if _keeps(always, 0.1) and (fx.off_slot or always.missing_share <= fx.missing_share):
        return Proposal(CalendarName.ALWAYS, _every_slot(always))
    # Exchanges close on some 4 % of weekdays, the currency market on less than 1 %.
    if _keeps(fx, 0.02 if interval_ms == DAY_MS else 0.1):
        return Proposal(CalendarName.FX, _fx_week(fx))
    return Proposal(CalendarName.OBSERVED, _neither(always, fx))


def fit(name: CalendarName, opens: Times, interval_ms: int) -> Fit:
    if unsupported(name, interval_ms):
        return Fit(len(opens), 1.0)
    ordinals, on_slot = slots(name, opens, interval_ms)
    span = int(ordinals[-1] - ordinals[0]) + 1
    return Fit(int(np.count_nonzero(~on_slot)), 1 - len(np.unique(ordinals)) / span)


def _keeps(fit: Fit, missing_share: float) -> bool:
    return not fit.off_slot and fit.missing_share <= missing_share


def _every_slot(always: Fit) -> str:
    return (
        f"Bars come round the clock on every day, with {always.missing_share:.2%} of slots empty."
    )


def _fx_week(fx: Fit) -> str:
    return (
        "Every bar lies between Sunday 17:00 and Friday 17:00 of New York, "
        f"with {fx.missing_share:.2%} of those slots empty."
    )


def _neither(always: Fit, fx: Fit) -> str:
    return (
        f"Neither 24x7 ({_misfit(always)}) nor 24x5_fx ({_misfit(fx)}) describes the bars; "
        "if they come from an exchange, no gaps are found."
    )


def _misfit(fit: Fit) -> str:
    if fit.off_slot:
        return f"{fit.off_slot} bars off its slots"
    return f"{fit.missing_share:.0%} of its slots empty"
