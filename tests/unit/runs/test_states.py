from __future__ import annotations

from collections.abc import Callable
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from services.runs.domain.states import (
    MAX_FRUITLESS,
    NEXT,
    Lease,
    Progression,
    StaleAttempt,
    State,
)
from services.shared.errors import Conflict

WORKER = UUID(int=7)


def lease(until_ms: int = 100) -> Lease:
    return Lease(worker_id=WORKER, until_ms=until_ms)


def running() -> Progression:
    return Progression(created_at_ms=0).claim(lease(), 1)


def test_a_claim_is_a_new_attempt_and_keeps_the_first_start() -> None:
    first = running()
    second = first.lose(1, "It died.", 5).claim(lease(), 9)
    assert (first.attempt, second.attempt) == (1, 2)
    assert (first.started_at_ms, second.started_at_ms) == (1, 1)


def test_an_attempt_that_brought_something_was_not_fruitless() -> None:
    progression = running().advance(1)
    for _ in range(MAX_FRUITLESS):
        progression = progression.lose(progression.attempt, "It died.", 5)
        assert progression.state is State.QUEUED
        progression = progression.claim(lease(), 6)
    assert progression.lose(progression.attempt, "It died.", 9).state is State.FAILED


def test_three_attempts_in_vain_fail_and_say_why() -> None:
    progression = running()
    for _ in range(MAX_FRUITLESS - 1):
        progression = progression.lose(progression.attempt, "It died.", 5).claim(lease(), 6)
    failed = progression.lose(progression.attempt, "It died.", 7)
    assert (failed.state, failed.completed_at_ms) == (State.FAILED, 7)
    assert failed.error == "3 attempts in a row brought nothing. It died."


def test_an_attempt_that_is_released_does_not_count() -> None:
    progression = running()
    for _ in range(2 * MAX_FRUITLESS):
        progression = progression.release(progression.attempt).claim(lease(), 5)
    assert progression.fruitless == 1


def test_a_lease_lapses_only_when_it_has_run_out() -> None:
    progression = running()
    assert progression.lapse(99) is progression
    assert progression.lapse(100).state is State.QUEUED
    assert progression.renew(1, 200).lapse(199).state is State.RUNNING
    waiting = Progression(created_at_ms=0)
    assert waiting.lapse(10**9) is waiting


@given(st.integers(0, 5).filter(lambda n: n != 1))
def test_another_attempt_than_the_one_at_work_is_refused_everything(attempt: int) -> None:
    at_work = running()
    for move in (
        lambda: at_work.check(attempt),
        lambda: at_work.advance(attempt),
        lambda: at_work.renew(attempt, 200),
        lambda: at_work.lose(attempt, "", 5),
        lambda: at_work.release(attempt),
        lambda: at_work.complete(attempt, 5),
    ):
        with pytest.raises(StaleAttempt):
            move()


@given(st.sampled_from([s for s in State if s.is_terminal]))
def test_what_has_ended_does_not_move(state: State) -> None:
    ended = Progression(state=state, created_at_ms=0, attempt=1)
    moves: list[Callable[[], object]] = [
        lambda: ended.claim(lease(), 5),
        lambda: ended.fail("", 5),
        lambda: ended.complete(1, 5),
    ]
    for move in moves:
        with pytest.raises(Conflict):
            move()


def test_cancelling_twice_is_the_same_as_once() -> None:
    once = running().cancel(5)
    assert once.cancel(9) is once


class Life(RuleBasedStateMachine):
    """Any sequence of moves, as dispatchers, workers and people would make them."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0
        self.work = Progression(created_at_ms=0)
        self.seen = [self.work]

    def _moved(self, work: Progression) -> None:
        if work.state is not self.work.state:
            assert work.state in NEXT[self.work.state]
        assert work.attempt - self.work.attempt in (0, 1)
        self.work = work
        self.seen.append(work)

    @rule(passed=st.integers(1, 50))
    def time_passes(self, passed: int) -> None:
        self.now += passed

    @precondition(lambda self: self.work.state is State.QUEUED)
    @rule()
    def claim(self) -> None:
        self._moved(self.work.claim(lease(self.now + 100), self.now))

    @rule()
    def lapse(self) -> None:
        self._moved(self.work.lapse(self.now))

    @precondition(lambda self: self.work.state is State.RUNNING)
    @rule(what=st.sampled_from(["advance", "renew", "lose", "release", "complete"]))
    def work_on(self, what: str) -> None:
        attempt = self.work.attempt
        self._moved(
            {
                "advance": lambda: self.work.advance(attempt),
                "renew": lambda: self.work.renew(attempt, self.now + 100),
                "lose": lambda: self.work.lose(attempt, "It died.", self.now),
                "release": lambda: self.work.release(attempt),
                "complete": lambda: self.work.complete(attempt, self.now),
            }[what]()
        )

    @precondition(lambda self: not self.work.state.is_terminal)
    @rule()
    def cancel(self) -> None:
        self._moved(self.work.cancel(self.now))

    @invariant()
    def only_running_work_is_leased(self) -> None:
        assert (self.work.lease is not None) == (self.work.state is State.RUNNING)

    @invariant()
    def what_ended_says_when(self) -> None:
        assert (self.work.completed_at_ms is not None) == self.work.state.is_terminal

    @invariant()
    def fruitless_attempts_are_bounded(self) -> None:
        assert 0 <= self.work.fruitless <= MAX_FRUITLESS
        if self.work.state is State.QUEUED:
            assert self.work.fruitless < MAX_FRUITLESS

    @invariant()
    def no_earlier_attempt_can_store_anything(self) -> None:
        for earlier in range(self.work.attempt):
            with pytest.raises(StaleAttempt):
                self.work.advance(earlier)


TestLife = Life.TestCase
