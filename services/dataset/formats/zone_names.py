"""The zone that the name of a time column tells: `Time (EET)`, `date_est`, `Gmt time`."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

_ABBREVIATED: Final = (
    "ET EST EDT CT CST CDT MT MST MDT PT PST PDT AKST HST CET CEST MET MEZ MESZ EET EEST WET WEST "
    "BST MSK IST PKT ICT SGT HKT CST JST KST AEST AEDT ACST AWST NZST NZDT BRT ART SAST LOCAL "
    "UTC GMT"
)
_WORD: Final = rf"(?:{_ABBREVIATED.replace(' ', '|')})(?: ?[+-] ?[0-9][0-9:]*)?"
_IN_BRACKETS: Final = re.compile(r"^(.*?)[ _]*[(\[]([^)\]]+)[)\]]$")
_AT_END: Final = re.compile(rf"^(.*?)[ _./-]+({_WORD})$", re.IGNORECASE)
_AT_START: Final = re.compile(rf"^({_WORD})[ _./-]+(.*)$", re.IGNORECASE)
_UTC: Final = re.compile(r"(?:UTC|GMT|Z|Zulu)(?: ?[+-] ?0[0:]*)?", re.IGNORECASE)
# In brackets stand units, layouts and what a time is of, too.
_NO_ZONE: Final = re.compile(
    r"[ymdhs/:. T_-]+|[mun]?sec(?:onds?)?|[mun]s|unix|epoch|open|close|start|end", re.IGNORECASE
)


def split(name: str) -> tuple[str, str]:
    """The name without its zone, and the zone as it is written there, empty when it tells none."""
    if found := _IN_BRACKETS.match(name):
        base, zone = found.groups()
        return (name, "") if _NO_ZONE.fullmatch(zone) else (base, zone.strip())
    if found := _AT_END.match(name):
        return found[1], found[2]
    if found := _AT_START.match(name):
        return found[2], found[1]
    return name, ""


def is_utc(name: str) -> bool:
    return _UTC.fullmatch(split(name)[1]) is not None


def foreign(names: Iterable[str]) -> str | None:
    """What is said of the first that tells a zone other than UTC."""
    for name in names:
        zone = split(name)[1]
        if zone and not is_utc(name):
            what = "local times" if zone.lower() == "local" else f"times of {zone}"
            return f"{name!r} holds {what} without an offset from UTC"
    return None
