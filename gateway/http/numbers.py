"""Numbers that come as text and that no schema reads."""

from __future__ import annotations

from typing import Final

_MOST_DIGITS: Final = 19  # of int64


def natural(text: str, *, below: int) -> int | None:
    """None for what is none. The length comes first: int() raises on thousands of digits."""
    if len(text) > _MOST_DIGITS or not (text.isascii() and text.isdecimal()):
        return None
    value = int(text)
    return value if value < below else None


def quoted(text: str) -> str:
    """As a refusal shows it, however long it is."""
    return repr(text if len(text) <= 2 * _MOST_DIGITS else f"{text[:_MOST_DIGITS]}…")
