"""Collects what is wrong with a request, so that one answer tells all of it."""

from __future__ import annotations

import base64
import binascii
import math
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal, InvalidOperation
from typing import Final, TypeVar
from uuid import UUID

from google.protobuf.message import Message
from stage1.runs.v1 import run_pb2

from services.runs.domain.states import State
from services.runs.storage.protocol import Page
from services.shared.errors import InvalidRequest, Violation
from services.shared.uuids import uuid_of

MAX_PAGE: Final = 1000
MAX_SKIP: Final = 100_000
_DEFAULT_PAGE: Final = 50
MAX_NAME: Final = 200  # names of columns are shorter
_PAGE_BYTES: Final = 3 << 20
_MOST_MS: Final = 10**13  # PostgreSQL and Python know times far beyond it
_STATES: Final[Mapping[int, State | None]] = {
    number: State(name.removeprefix("STATE_")) if number else None
    for name, number in run_pb2.Run.State.items()
}
_NOBODY: Final = UUID(int=0)

Sized = TypeVar("Sized", bound=Message)


class Checks:
    def __init__(self) -> None:
        self._wrong: list[Violation] = []

    def refuse(self, field: str, message: str) -> None:
        self._wrong.append(Violation(field, message))

    def done(self) -> None:
        if self._wrong:
            raise InvalidRequest(self._wrong)

    def between(self, field: str, value: int, low: int, high: int) -> int:
        if not low <= value <= high:
            self.refuse(field, f"is {value}, and must lie from {low} to {high}")
        return value

    def number(
        self,
        field: str,
        value: float,
        low: float = -math.inf,
        high: float = math.inf,
        *,
        above: bool = False,
        below: bool = False,
    ) -> float:
        """Finite and within bounds, which `above` and `below` leave out themselves."""
        if not math.isfinite(value):
            self.refuse(field, f"is {value}, which is not a finite number")
        elif value < low or value > high or (above and value == low) or (below and value == high):
            least = f"above {low:g}" if above else f"at least {low:g}"
            most = f"below {high:g}" if below else f"at most {high:g}"
            told = least if math.isinf(high) else f"{least} and {most}"
            self.refuse(field, f"is {value:g}, and must be {told}")
        return value

    def decimal(self, field: str, text: str, default: str) -> Decimal:
        """Above 0 and below 1."""
        try:
            value = Decimal(text or default)
        except InvalidOperation:
            value = Decimal(-1)
        if not value.is_finite() or not 0 < value < 1:
            self.refuse(field, f"is {text!r}, and must be a decimal number above 0 and below 1")
            return Decimal(default)
        return value

    def text(self, field: str, value: str, most: int) -> str:
        if len(value) > most:
            self.refuse(field, f"has {len(value)} characters, and may have {most}")
        elif "\0" in value:
            self.refuse(field, "contains a NUL character")
        return value

    def uuid(self, field: str, text: str) -> UUID:
        found = uuid_of(text)
        if found is None:
            self.refuse(field, f"is {text!r}, which is not a UUID")
        return found or _NOBODY

    def uuid_or_any(self, field: str, text: str) -> UUID | None:
        return self.uuid(field, text) if text else None

    def state(self, number: int) -> State | None:
        """Runs and simulations have the same; unspecified is any."""
        if number not in _STATES:
            self.refuse("state", f"is {number}, no state")
        return _STATES.get(number)

    def page(self, size: int, token: str, skip: int) -> Page:
        return Page(
            size=self.between("page_size", size, 0, MAX_PAGE) or _DEFAULT_PAGE,
            skip=self.between("skip", skip, 0, MAX_SKIP),
            after=self._after(token) if token else None,
        )

    def _after(self, token: str) -> tuple[int, UUID]:
        try:
            ms, _, item = base64.urlsafe_b64decode(token.encode()).decode().partition(":")
            place = int(ms), UUID(item)
        except (ValueError, binascii.Error):
            place = None
        if place is None or abs(place[0]) > _MOST_MS:
            self.refuse("page_token", f"is {token!r}, which no answer gave")
            return 0, _NOBODY
        return place


def fitting(answers: Iterable[Sized]) -> list[Sized]:
    """As many as one message may hold, the first in any case."""
    taken: list[Sized] = []
    size = 0
    for answer in answers:
        size += answer.ByteSize()
        if taken and size > _PAGE_BYTES:
            break
        taken.append(answer)
    return taken


def page_token(page: Page, found: Sequence[tuple[int, UUID]], taken: int) -> str:
    """For the page after the taken ones of what was found; empty after the last page."""
    if taken == len(found) < page.size:
        return ""
    ms, item = found[taken - 1]
    return base64.urlsafe_b64encode(f"{ms}:{item}".encode()).decode()


def only_uuid(field: str, text: str) -> UUID:
    checks = Checks()
    value = checks.uuid(field, text)
    checks.done()
    return value
