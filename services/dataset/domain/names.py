"""Slugs, and the names of tables made from them by us alone."""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from services.shared.errors import InvalidRequest, Violation

# Without hyphens, so that none can be a UUID (services.shared.uuids).
_SLUG: Final = re.compile(r"[a-z][a-z0-9_]{0,47}")
_MEASUREMENT: Final = re.compile(_SLUG.pattern + r"_v[1-9]\d*_(ohlcv|ind)_a[1-9]\d*")


class Measurements(NamedTuple):
    """The two tables of one attempt; they keep their names when published."""

    ohlcv: str
    indicators: str


def is_slug(text: str) -> bool:
    return _SLUG.fullmatch(text) is not None


def slug_violation(text: str) -> str | None:
    if is_slug(text):
        return None
    return (
        f"is {text!r}; a slug begins with a letter and has at most 48 lower-case letters, "
        "digits and underscores, such as btc_4h_v1"
    )


def checked_slug(text: str) -> str:
    if message := slug_violation(text):
        raise InvalidRequest([Violation("slug", message)])
    return text


def measurements(slug: str, version: int, attempt: int) -> Measurements:
    stem = f"{checked_slug(slug)}_v{version}"
    return Measurements(f"{stem}_ohlcv_a{attempt}", f"{stem}_ind_a{attempt}")


def is_measurement(table: str) -> bool:
    """Whether it is named as tables of attempts are: others share the store."""
    return _MEASUREMENT.fullmatch(table) is not None
