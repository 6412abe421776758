"""The life of a piece of queued work, a run or a simulation, and its lease.

The row of the work is its queue entry. `attempt` is the epoch: every claim raises it,
and whatever an older attempt still brings is refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final, Self
from uuid import UUID

from services.shared.errors import Conflict

MAX_FRUITLESS: Final = 3


class State(StrEnum):
    QUEUED = "QUEUED"
    RUNNING = "RUNNING"
    COMPLETED = "COMPLETED"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"

    @property
    def is_terminal(self) -> bool:
        return self not in (State.QUEUED, State.RUNNING)


NEXT: Final[Mapping[State, frozenset[State]]] = {
    State.QUEUED: frozenset({State.RUNNING, State.CANCELLED}),
    State.RUNNING: frozenset({State.QUEUED, State.COMPLETED, State.FAILED, State.CANCELLED}),
    State.COMPLETED: frozenset(),
    State.FAILED: frozenset(),
    State.CANCELLED: frozenset(),
}


class StaleAttempt(Conflict):
    """Another attempt has the work now, or it has ended: what this one brings is refused."""

    reason = "STALE_ATTEMPT"


@dataclass(frozen=True, kw_only=True)
class Lease:
    worker_id: UUID
    until_ms: int


@dataclass(frozen=True, kw_only=True)
class Progression:
    """Where a piece of work stands. Moves give a new one or raise Conflict."""

    state: State = State.QUEUED
    error: str = ""
    attempt: int = 0
    fruitless: int = 0  # attempts in a row that brought nothing
    lease: Lease | None = None
    created_at_ms: int
    started_at_ms: int | None = None
    completed_at_ms: int | None = None

    @property
    def is_hopeless(self) -> bool:
        return self.fruitless >= MAX_FRUITLESS

    def claim(self, lease: Lease, now_ms: int) -> Self:
        return replace(
            self._to(State.RUNNING),
            attempt=self.attempt + 1,
            fruitless=self.fruitless + 1,
            lease=lease,
            started_at_ms=self.started_at_ms or now_ms,
        )

    def check(self, attempt: int) -> None:
        """Raises StaleAttempt unless this attempt is the one at work."""
        if self.state is not State.RUNNING or self.attempt != attempt:
            raise StaleAttempt(
                f"Attempt {attempt} is over: the work is {self.state} at attempt {self.attempt}."
            )

    def renew(self, attempt: int, until_ms: int) -> Self:
        self.check(attempt)
        assert self.lease is not None
        return replace(self, lease=replace(self.lease, until_ms=until_ms))

    def advance(self, attempt: int) -> Self:
        """Something of this attempt was committed, so it was not fruitless."""
        self.check(attempt)
        return replace(self, fruitless=0)

    def lose(self, attempt: int, why: str, now_ms: int) -> Self:
        """The worker is gone: back to the queue, or FAILED after too many in vain."""
        self.check(attempt)
        if self.is_hopeless:
            return self.fail(f"{self.fruitless} attempts in a row brought nothing. {why}", now_ms)
        return replace(self._to(State.QUEUED), lease=None)

    def lapse(self, now_ms: int) -> Self:
        """Lost when the lease has run out; itself when it was renewed or has ended meanwhile."""
        if self.lease is None or self.lease.until_ms > now_ms:
            return self
        return self.lose(self.attempt, "Nothing was heard of the last one.", now_ms)

    def release(self, attempt: int) -> Self:
        """Back to the queue through no fault of the worker; the attempt does not count."""
        self.check(attempt)
        return replace(self._to(State.QUEUED), lease=None, fruitless=max(0, self.fruitless - 1))

    def complete(self, attempt: int, now_ms: int) -> Self:
        self.check(attempt)
        return self._end(State.COMPLETED, "", now_ms)

    def fail(self, error: str, now_ms: int) -> Self:
        return self._end(State.FAILED, error, now_ms)

    def cancel(self, now_ms: int) -> Self:
        return self if self.state is State.CANCELLED else self._end(State.CANCELLED, "", now_ms)

    def _end(self, state: State, error: str, now_ms: int) -> Self:
        return replace(self._to(state), error=error, lease=None, completed_at_ms=now_ms)

    def _to(self, state: State) -> Self:
        if state not in NEXT[self.state]:
            raise Conflict(f"What is {self.state} cannot become {state}.", reason="STATE_FORBIDS")
        return replace(self, state=state)
