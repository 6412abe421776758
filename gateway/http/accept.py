"""The Accept header: which of several media types a caller likes best."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class _Range:
    pattern: str
    """As `text/csv`, `text/*` or `*/*`."""
    quality: float
    place: int

    def matches(self, media_type: str) -> bool:
        if self.pattern == "*/*":
            return True
        return self.pattern in (media_type, f"{media_type.partition('/')[0]}/*")


def best(header: str, offered: Sequence[str]) -> str:
    """The one of the highest q, then the one named earlier; the first one when none is wanted."""
    ranges = [_range(text, place) for place, text in enumerate(header.lower().split(","))]

    def liked(media_type: str) -> tuple[float, int]:
        matching = [one for one in ranges if one.matches(media_type)]
        if not matching:
            return 0.0, -len(ranges)
        closest = min(matching, key=lambda one: one.pattern.count("*"))
        return closest.quality, -closest.place

    wanted = [media_type for media_type in offered if liked(media_type)[0] > 0]
    return max(wanted, key=liked, default=offered[0])


def _range(text: str, place: int) -> _Range:
    pattern, *parameters = (part.strip() for part in text.split(";"))
    said = dict(parameter.partition("=")[::2] for parameter in parameters)
    return _Range(pattern=pattern, quality=_quality(said.get("q", "1")), place=place)


def _quality(text: str) -> float:
    """What is no number from 0 to 1 says nothing."""
    try:
        quality = float(text)
    except ValueError:
        return 1.0
    return quality if 0 <= quality <= 1 else 1.0
