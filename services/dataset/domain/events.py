"""What happens to datasets, in the order in which it became visible."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, NamedTuple
from uuid import UUID

from services.shared.errors import Conflict

KEPT_MS: Final = 30 * 24 * 3600 * 1000


class EventKind(StrEnum):
    PUBLISHED = "PUBLISHED"
    UPDATED = "UPDATED"
    DELETED = "DELETED"


@dataclass(frozen=True, kw_only=True)
class Event:
    """`sequence` counts all datasets' events from 1; `version` was the newest at the time."""

    sequence: int
    kind: EventKind
    dataset_id: UUID
    slug: str
    version: int
    at_ms: int


@dataclass(frozen=True)
class Heartbeat:
    """A sign of life: whoever resumes after `sequence` misses nothing that was asked for."""

    sequence: int
    at_ms: int


class Log(NamedTuple):
    """A stretch of events, and how far one has read with it: also past events of others."""

    events: Sequence[Event]
    read_to: int


class CursorTooOld(Conflict):
    """Events after it were forgotten already: what was missed is in the lists only."""

    reason = "CURSOR_TOO_OLD"


def too_old(sequence: int, forgotten: int) -> CursorTooOld:
    return CursorTooOld(
        f"The cursor is {sequence}, and events up to {forgotten} are forgotten after 30 days: "
        "list the datasets, and watch with an empty cursor."
    )
