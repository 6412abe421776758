from __future__ import annotations

import asyncio
from uuid import uuid4

from services.runs.app.dispatcher import Claim, Dispatcher, Move
from services.runs.domain.workers import Worker
from tests.contract.run_examples import NOW, a_worker

SUBJECT, WORKER = uuid4(), a_worker()


class OvertakenLine:
    """Gives the same subject twice; the first attempt takes its time to clean up."""

    def __init__(self) -> None:
        self.cleaning = asyncio.Event()
        self.cleaned = asyncio.Event()
        self.settled: list[int] = []
        self._attempts = 0

    async def lapse(self) -> None:
        """None does."""

    async def claim(self) -> Claim[None] | None:
        if self._attempts == 2:
            return None
        self._attempts += 1
        await asyncio.sleep(0)  # the attempt before begins
        return Claim(subject_id=SUBJECT, attempt=self._attempts, worker=WORKER, work=None)

    async def do(self, claim: Claim[None]) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            if claim.attempt == 1:
                self.cleaning.set()
                await self.cleaned.wait()
            self.settled.append(claim.attempt)

    async def move(self, subject_id: object, move: Move, note: str) -> None:
        """Nothing is stored."""

    async def forget(self, worker: Worker) -> None:
        raise NotImplementedError


async def test_a_stop_waits_for_an_attempt_that_was_overtaken() -> None:
    line = OvertakenLine()
    running = asyncio.create_task(Dispatcher([line], clock=lambda: NOW).run())
    async with asyncio.timeout(10):
        await line.cleaning.wait()
        running.cancel()
        await asyncio.wait([running], timeout=0.1)
        assert not running.done()
        line.cleaned.set()
        await asyncio.wait([running])
    assert sorted(line.settled) == [1, 2]
