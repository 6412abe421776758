"""A cancelled caller goes on only when its thread has ended."""

from __future__ import annotations

import asyncio
import threading

import pytest

from services.shared.threads import ended, in_thread


async def test_who_is_cancelled_twice_still_waits_for_the_thread() -> None:
    began, may_end, has_ended = asyncio.Event(), threading.Event(), threading.Event()
    loop = asyncio.get_running_loop()

    def work() -> None:
        loop.call_soon_threadsafe(began.set)
        may_end.wait()
        has_ended.set()

    caller = asyncio.create_task(in_thread(work))
    await began.wait()
    for _ in range(2):
        caller.cancel()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert not caller.done()
    may_end.set()
    with pytest.raises(asyncio.CancelledError):
        await caller
    assert has_ended.is_set()


async def test_who_is_cancelled_asks_the_work_to_stop() -> None:
    may_end = threading.Event()
    job = asyncio.ensure_future(asyncio.to_thread(may_end.wait))
    caller = asyncio.create_task(ended(job, stop=may_end.set))
    await asyncio.sleep(0)
    caller.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller
    assert job.done()


async def test_what_the_work_raises_is_raised() -> None:
    def work() -> None:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        await in_thread(work)
