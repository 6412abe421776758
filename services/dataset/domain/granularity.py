"""What people call the distance of bars. It decides nothing: `bar_interval_ms` is from the bars."""

from __future__ import annotations

import re
from typing import Final

from services.dataset.domain.calendars import CalendarName
from services.dataset.domain.manifest import Manifest
from services.dataset.domain.times import duration, parse_duration

_RULE: Final = "a whole number from 1 on with one of ms, s, m, min, h, d, w, mo and y, as 15m or 4h"
_GRANULARITY: Final = re.compile("[1-9][0-9]{0,12}(ms|s|m|min|h|d|w|mo|y)")
_SHOWN: Final = 20


def granularity_violation(text: str) -> str | None:
    if _GRANULARITY.fullmatch(text):
        return None
    shown = repr(text) if len(text) <= _SHOWN else f"{text[:_SHOWN]!r}…"
    return f"is {shown}, and not {_RULE}"


def contradiction(text: str, manifest: Manifest) -> str | None:
    """Months and years have no fixed length, and observed bars may lie anywhere."""
    said, interval_ms = parse_duration(text), manifest.bar_interval_ms
    if said in {None, interval_ms} or manifest.calendar == CalendarName.OBSERVED:
        return None
    return f"is {text}, and most bars are {duration(interval_ms)} apart"
