"""Blocking work in threads, whose end a cancelled caller waits for."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


async def in_thread(work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """As asyncio.to_thread, but a cancelled caller waits: what follows may touch the same files."""
    return await ended(asyncio.ensure_future(asyncio.to_thread(work, *args, **kwargs)))


async def ended(job: asyncio.Future[T], *, stop: Callable[[], object] = lambda: None) -> T:
    """Its result. Who is cancelled, however often, asks it to `stop` and waits for its end."""
    try:
        return await asyncio.shield(job)
    except asyncio.CancelledError:
        stop()
        while not job.done():
            with suppress(asyncio.CancelledError):
                await asyncio.wait([job])
        if not job.cancelled():
            job.exception()  # seen: nobody waits for it any more
        raise
