"""Takes queued work as workers have room for it, and sees each attempt through to an end.

An attempt ends in one of four ways: done, FAILED (what is asked cannot be done), lost (the
worker is gone: back to the queue, or FAILED after too many in vain) or released (this process
stops: back to the queue).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Generic, Protocol, TypeVar
from uuid import UUID

import structlog

from services.runs.domain.states import Progression, StaleAttempt
from services.runs.domain.workers import Worker
from services.shared.clock import Clock
from services.shared.errors import (
    Conflict,
    InvalidRequest,
    NotFound,
    Stage1Error,
    Stalled,
    Unavailable,
)

_LOOK_SECONDS: Final = 1.0
_BUSY: Final = ("TRAINER_BUSY", "SIMULATOR_BUSY")  # with what it was told to leave
_BUSY_SECONDS: Final = 1.0

Work = TypeVar("Work")
Move = Callable[[Progression], Progression]

log = structlog.get_logger()


@dataclass(frozen=True, kw_only=True)
class Claim(Generic[Work]):
    """A piece of work that this attempt has the lease of."""

    subject_id: UUID
    attempt: int
    worker: Worker
    work: Work


class Line(Protocol[Work]):
    """A kind of queued work."""

    async def lapse(self) -> None:
        """Gives up attempts whose lease has run out."""

    async def claim(self) -> Claim[Work] | None:
        """The next piece and a worker with a free slot for it."""

    async def do(self, claim: Claim[Work]) -> None: ...

    async def move(self, subject_id: UUID, move: Move, note: str) -> None: ...

    async def forget(self, worker: Worker) -> None:
        """It does not answer."""


@dataclass(kw_only=True, eq=False)
class _Attempt:
    """`work` may be cancelled at any time; `whole` then settles what becomes of it."""

    subject_id: UUID
    work: asyncio.Task[None]
    whole: asyncio.Task[None]
    is_told: bool = False

    def end(self) -> None:
        if not self.is_told:  # twice would cut its cleaning up short
            self.is_told = True
            self.work.cancel()


class Dispatcher:
    def __init__(self, lines: Sequence[Line[Any]], *, clock: Clock) -> None:
        self._lines = lines
        self._clock = clock
        self._attempts: set[_Attempt] = set()  # one that is overtaken until it has ended
        self._woken = asyncio.Event()

    def nudge(self) -> None:
        self._woken.set()

    async def run(self) -> None:
        """Until cancelled; what is under way then goes back to the queue."""
        try:
            while True:
                self._woken.clear()
                await self._fill()
                try:
                    async with asyncio.timeout(_LOOK_SECONDS):
                        await self._woken.wait()
                except TimeoutError:
                    continue
        finally:
            await self._end(*self._attempts)

    async def stop(self, subject_id: UUID) -> None:
        await self._end(*self._at(subject_id))

    def _at(self, subject_id: UUID) -> list[_Attempt]:
        return [attempt for attempt in self._attempts if attempt.subject_id == subject_id]

    async def _end(self, *attempts: _Attempt) -> None:
        for attempt in attempts:
            attempt.end()
        if attempts:
            await asyncio.wait([attempt.whole for attempt in attempts])

    async def _fill(self) -> None:
        for line in self._lines:
            try:
                await line.lapse()
                while claim := await line.claim():
                    self._start(line, claim)
            except Stage1Error as error:
                log.warning("queue_not_readable", reason=error.reason, error=str(error))
            except Exception:  # one line that is broken does not stop the others
                log.exception("queue_crashed")

    def _start(self, line: Line[Any], claim: Claim[Any]) -> None:
        for overtaken in self._at(claim.subject_id):
            overtaken.end()
        with structlog.contextvars.bound_contextvars(
            subject_id=str(claim.subject_id), attempt=claim.attempt, worker=claim.worker.address
        ):
            log.info("attempt_started")
            work = asyncio.create_task(line.do(claim))
            whole = asyncio.create_task(self._see_through(line, claim, work))
        attempt = _Attempt(subject_id=claim.subject_id, work=work, whole=whole)
        self._attempts.add(attempt)

        def ended(_: asyncio.Task[None]) -> None:
            self._attempts.discard(attempt)
            self.nudge()

        whole.add_done_callback(ended)

    async def _see_through(
        self, line: Line[Any], claim: Claim[Any], work: asyncio.Task[None]
    ) -> None:
        await asyncio.wait([work])
        error = None if work.cancelled() else work.exception()
        if work.cancelled():
            await self._release(line, claim)
        elif error is None:
            log.info("attempt_done")
        elif isinstance(error, StaleAttempt):
            log.info("attempt_stale", error=str(error))
        elif isinstance(error, InvalidRequest | Conflict | NotFound):
            await self._fail(line, claim, error)
        elif isinstance(error, Stage1Error) and error.reason in _BUSY:
            await asyncio.sleep(_BUSY_SECONDS)
            await self._release(line, claim)
        else:
            await self._lose(line, claim, error)

    async def _release(self, line: Line[Any], claim: Claim[Any]) -> None:
        await self._settle(line, claim, lambda p: p.release(claim.attempt), "")

    async def _fail(self, line: Line[Any], claim: Claim[Any], error: Stage1Error) -> None:
        def fail(progression: Progression) -> Progression:
            progression.check(claim.attempt)
            return progression.fail(str(error), self._clock())

        await self._settle(line, claim, fail, "")

    async def _lose(self, line: Line[Any], claim: Claim[Any], error: BaseException) -> None:
        why = str(error)
        if not isinstance(error, Stage1Error):
            log.error("attempt_crashed", exc_info=error)
            why = "The runs service failed; its log says how."
        if isinstance(error, Unavailable | Stalled):
            await self._forget(line, claim.worker)
        await self._settle(
            line,
            claim,
            lambda p: p.lose(claim.attempt, why, self._clock()),
            f"Attempt {claim.attempt} was lost: {why}",
        )

    async def _forget(self, line: Line[Any], worker: Worker) -> None:
        try:
            await line.forget(worker)
        except Stage1Error as error:
            log.warning("worker_not_forgotten", error=str(error))

    async def _settle(self, line: Line[Any], claim: Claim[Any], move: Move, note: str) -> None:
        """Where even this fails, the lease runs out."""
        try:
            await line.move(claim.subject_id, move, note)
        except (StaleAttempt, NotFound):
            log.info("attempt_overtaken")
        except Stage1Error as error:
            log.warning("attempt_not_settled", reason=error.reason, error=str(error))
        except Exception:
            log.exception("settling_crashed")
