"""Every refusal the system can give, whichever process it arises in.

Services raise these, `rpc.status` carries them over gRPC, and the client raises
the same again. Callers branch on the kind or on `reason`, never on the text.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


class Stage1Error(Exception):
    """A refusal: one sentence for people, one UPPER_SNAKE reason for programs.

    `cause` is what a server of others said, in its own words, where that helps whoever runs it.
    """

    reason = "INTERNAL"

    def __init__(self, message: str, *, reason: str | None = None, cause: str = "") -> None:
        super().__init__(message)
        self.reason = reason or type(self).reason
        self.cause = cause


class NotFound(Stage1Error):
    reason = "NOT_FOUND"


class AlreadyExists(Stage1Error):
    reason = "ALREADY_EXISTS"


class Conflict(Stage1Error):
    """Well formed, but the state of things forbids it."""

    reason = "CONFLICT"


class Unauthenticated(Stage1Error):
    reason = "UNAUTHENTICATED"


class Exhausted(Stage1Error):
    """A limit is reached for now: of a disk, of streams or of a queue."""

    reason = "EXHAUSTED"


class TooLarge(Stage1Error):
    """More than is ever taken; the same call will not do later either."""

    reason = "TOO_LARGE"


class Stalled(Stage1Error):
    """The other side took or gave nothing for too long."""

    reason = "STALLED"


class DeadlineExceeded(Stage1Error):
    reason = "DEADLINE_EXCEEDED"


class Cancelled(Stage1Error):
    """The caller asked for it to end."""

    reason = "CANCELLED"


class Unavailable(Stage1Error):
    """Something we depend on is away; the same call may work later."""

    reason = "UNAVAILABLE"


class DataLoss(Stage1Error):
    """What was read is not what was written."""

    reason = "DATA_LOSS"


@dataclass(frozen=True)
class Violation:
    field: str
    message: str


class InvalidRequest(Stage1Error):
    """Every field that breaks a rule, in one answer."""

    reason = "INVALID_REQUEST"

    def __init__(self, violations: Sequence[Violation], *, reason: str | None = None) -> None:
        super().__init__(
            "; ".join(f"{v.field} {v.message}" for v in violations) + ".", reason=reason
        )
        self.violations = tuple(violations)
