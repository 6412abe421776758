"""Rules on fields, collected so that one answer names every field that breaks one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, TypeVar
from uuid import UUID

from services.dataset.domain.calendars import CalendarName
from services.dataset.domain.exchanges import CODES, unknown_code
from services.dataset.domain.granularity import granularity_violation
from services.dataset.domain.names import is_slug, slug_violation
from services.dataset.domain.updates import METADATA_ENTRIES
from services.shared.errors import InvalidRequest, Violation
from services.shared.uuids import uuid_of

_AUTO: Final = "auto"
_OWN_CALENDARS: Final = (*CalendarName, _AUTO)
_SHOWN: Final = 20  # an answer's trailer has little room

Number = TypeVar("Number", bound=int)
Value = TypeVar("Value")


class Checks:
    def __init__(self) -> None:
        self._violations: list[Violation] = []

    def refuse(self, field: str, message: str) -> None:
        self._violations.append(Violation(field, message))

    def text(
        self, field: str, value: str, longest: int, *, needed: bool = False, lines: bool = False
    ) -> str:
        """Without spaces around it."""
        return self.as_sent(field, value, longest, needed=needed, lines=lines).strip()

    def as_sent(
        self, field: str, value: str, longest: int, *, needed: bool = False, lines: bool = False
    ) -> str:
        """For names of columns and of what stands in them, which may begin with a space."""
        if needed and not value.strip():
            self.refuse(field, "is missing")
        elif len(value) > longest:
            self.refuse(field, f"has {len(value)} characters, and at most {longest} are allowed")
        elif not (value.replace("\n", " ") if lines else value).isprintable():
            self.refuse(field, "has characters that cannot be printed")
        return value

    def at_most(self, field: str, count: int, most: int) -> None:
        if count > most:
            self.refuse(field, f"has {count} entries, and at most {most} are allowed")

    def metadata(self, field: str, entries: Mapping[str, str]) -> dict[str, str]:
        self.at_most(field, len(entries), METADATA_ENTRIES)
        return {
            self.text(field, key, 64, needed=True): self.text(
                f"{field}[{key}]", value, 1000, lines=True
            )
            for key, value in entries.items()
        }

    def granularity(self, field: str, value: str) -> str:
        """Empty where nothing is said."""
        text = value.strip()
        if text and (message := granularity_violation(text)):
            self.refuse(field, message)
        return text

    def slug(self, field: str, value: str) -> str:
        if message := slug_violation(value):
            self.refuse(field, message)
        return value

    def name(self, field: str, value: str) -> UUID | str:
        """A dataset by its slug or its UUID."""
        found = uuid_of(value)
        if found is None and not is_slug(value):
            self.refuse(field, f"is {value!r}, which is neither a slug nor a UUID")
        return found or value

    def uuid(self, field: str, value: str) -> UUID | None:
        if not value:
            return None
        return uuid_of(value) or self._fallback(field, f"is {value!r}, which is not a UUID", None)

    def calendar(self, field: str, value: str) -> str | None:
        """None: to be proposed."""
        if value in ("", _AUTO):
            return None
        if value not in _OWN_CALENDARS and value not in CODES:
            self.refuse(field, unknown_code(value, _OWN_CALENDARS))
        return value

    def between(self, field: str, value: int, least: int, most: int) -> int:
        if not least <= value <= most:
            self.refuse(field, f"is {value}, and {least} to {most} is allowed")
        return value

    def one_of(
        self, field: str, value: Number, known: Mapping[Number, Value], fallback: Value
    ) -> Value:
        """What an enum's number stands for here."""
        if value in known:
            return known[value]
        message = f"is {value}, which this service does not know" if value else "is missing"
        return self._fallback(field, message, fallback)

    def _fallback(self, field: str, message: str, value: Value) -> Value:
        self.refuse(field, message)
        return value

    def done(self) -> None:
        if self._violations:
            raise InvalidRequest(self._violations[:_SHOWN])
