"""Events of datasets as a stream: replayed from a cursor, then live."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterator
from contextlib import contextmanager
from typing import Final
from uuid import UUID

from services.dataset.domain.events import Event, Heartbeat, Log
from services.dataset.storage.protocol import Catalogue
from services.shared.clock import Clock
from services.shared.errors import Exhausted

MAX_WATCHES: Final = 256
HEARTBEAT_SECONDS: Final = 15.0
_PAGE: Final = 200


class TooManyWatches(Exhausted):
    reason = "TOO_MANY_WATCHES"


class Bell:
    """Rung after every COMMIT of events in this process."""

    def __init__(self) -> None:
        self._listeners: set[asyncio.Event] = set()

    def ring(self) -> None:
        for listener in self._listeners:
            listener.set()

    @contextmanager
    def heard(self) -> Iterator[asyncio.Event]:
        """Set whenever there may be new events; whoever looks for them clears it before."""
        if len(self._listeners) >= MAX_WATCHES:
            raise TooManyWatches(
                f"{MAX_WATCHES} watches are open, the most there may be; try again shortly."
            )
        listener = asyncio.Event()
        self._listeners.add(listener)
        try:
            yield listener
        finally:
            self._listeners.discard(listener)


class Watches:
    def __init__(
        self,
        *,
        catalogue: Catalogue,
        bell: Bell,
        clock: Clock,
        heartbeat_seconds: float = HEARTBEAT_SECONDS,
    ) -> None:
        self._catalogue = catalogue
        self._bell = bell
        self._clock = clock
        self._heartbeat = heartbeat_seconds

    async def follow(
        self, after: int | None, name: UUID | str | None
    ) -> AsyncGenerator[Event | Heartbeat]:
        """Never ends. None: from now on, and a heartbeat says at once where that is.

        Raises NotFound for a dataset that never was, CursorTooOld when events after the cursor
        are forgotten, TooManyWatches.
        """
        with self._bell.heard() as rung:
            after, began = await self._start(after, name), after is None
            beat_at = _now() + (0 if began else self._heartbeat)
            while True:
                rung.clear()
                log = await self._read(after, name)
                for event in log.events:
                    yield event
                after = log.read_to
                if _now() >= beat_at:
                    yield Heartbeat(after, self._clock())
                    beat_at = _now() + self._heartbeat
                if len(log.events) < _PAGE:
                    await _set_within(rung, beat_at - _now())

    async def _start(self, after: int | None, name: UUID | str | None) -> int:
        async with self._catalogue.transaction() as catalogue:
            if name is not None:
                await catalogue.refuse_unknown(name)
            return await catalogue.last_event() if after is None else after

    async def _read(self, after: int, name: UUID | str | None) -> Log:
        """Also with every heartbeat: another process may have published something."""
        async with self._catalogue.transaction() as catalogue:
            return await catalogue.events_after(after, name, _PAGE)


def _now() -> float:
    return asyncio.get_running_loop().time()


async def _set_within(event: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return
