"""What pydantic finds wrong with a request, in sentences that read on after a field's name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from starlette.datastructures import UploadFile

MOST_SHOWN: Final = 50
_OWN: Final = "Value error, "


def rule(problem: Mapping[str, Any]) -> str:
    """Of an entry of `ValidationError.errors()`: "is 200, and must be less than 100"."""
    given, limits = problem["input"], problem.get("ctx", {})
    match problem["type"]:
        case "missing":
            return "is missing"
        case "json_invalid":
            return f"is not JSON: {limits['error']}"
        case "extra_forbidden":
            return "is not known here"
        case "string_too_long":
            return _at_most(len(given), limits["max_length"], "characters")
        case "too_long":
            return _at_most(limits["actual_length"], limits["max_length"], "entries")
        case "string_too_short":
            return f"has {len(given)} characters, and at least {limits['min_length']} is needed"
        case "string_type" if isinstance(given, UploadFile):
            return f"is a file ({given.filename}), and must be a text"
    return _as_predicate(str(problem["msg"]), given)


def _at_most(count: int, most: int, of_what: str) -> str:
    return f"has {count} {of_what}, and at most {most} are allowed"


def _as_predicate(message: str, given: object) -> str:
    if message.startswith(_OWN):
        return message.removeprefix(_OWN)
    asked = message.removeprefix("Input should ")
    if asked == message:
        return f"is wrong: {message}"
    shown = repr(given) if isinstance(given, int | float | str) else ""
    return f"is {shown}, and must {asked}" if 0 < len(shown) <= MOST_SHOWN else f"must {asked}"
