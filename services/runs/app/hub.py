"""Who watches what. Wakes watchers when something was stored and hands on live progress."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final
from uuid import UUID

from services.runs.domain.events import Progress
from services.shared.errors import Exhausted

MAX_WATCHERS: Final = 256


class Watcher:
    """`stored` says that there may be new events; of progress only the latest is kept."""

    def __init__(self) -> None:
        self._woken = asyncio.Event()
        self.stored = True
        self.progress: Progress | None = None

    def wake(self) -> None:
        self._woken.set()

    async def wait(self, seconds: float) -> None:
        """Until woken, or so long."""
        try:
            async with asyncio.timeout(seconds):
                await self._woken.wait()
        except TimeoutError:
            return
        self._woken.clear()


class Hub:
    def __init__(self) -> None:
        self._watchers: dict[UUID, set[Watcher]] = {}
        self._count = 0

    @contextmanager
    def watching(self, subject_id: UUID) -> Iterator[Watcher]:
        if self._count >= MAX_WATCHERS:
            raise Exhausted(
                f"{MAX_WATCHERS} watches are open, the most there may be; try again shortly.",
                reason="TOO_MANY_WATCHES",
            )
        watcher = Watcher()
        self._count += 1
        self._watchers.setdefault(subject_id, set()).add(watcher)
        try:
            yield watcher
        finally:
            self._count -= 1
            self._watchers[subject_id].discard(watcher)
            if not self._watchers[subject_id]:
                del self._watchers[subject_id]

    def stored(self, subject_id: UUID) -> None:
        """To be called after the commit of an event."""
        for watcher in self._watchers.get(subject_id, ()):
            watcher.stored = True
            watcher.wake()

    def progressed(self, subject_id: UUID, progress: Progress) -> None:
        for watcher in self._watchers.get(subject_id, ()):
            watcher.progress = progress
            watcher.wake()
