"""People who read while things fail: whatever they get is one version, whole."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

from services.shared.errors import (
    Cancelled,
    DeadlineExceeded,
    NotFound,
    Stage1Error,
    Stalled,
    Unavailable,
)
from tests.faults.client import Client, Seen
from tests.faults.processes import until

_AWAY = (Unavailable, DeadlineExceeded, Stalled, Cancelled)
_PAUSE_SECONDS = 0.05
_VERSIONS = (0, 1)


@dataclass
class Readers:
    """`torn` gets sentences; the first reader takes the newest version, the second the first."""

    torn: list[str]
    hashes: dict[int, str] = field(default_factory=dict)
    _times: list[int] = field(default_factory=lambda: [0] * len(_VERSIONS))

    @property
    def reads(self) -> int:
        """Of whole versions, by all."""
        return sum(self._times)

    def note(self, seen: Seen) -> None:
        if not seen.is_sound:
            self.torn.append(f"{seen} is not what its manifest says.")
        known = self.hashes.setdefault(seen.version, seen.content_hash)
        if known != seen.content_hash:
            self.torn.append(f"Version {seen.version} changed from {known} to {seen.content_hash}.")

    async def read_on(self, slug: str, reader: int, now: Callable[[], Client | None]) -> None:
        while True:
            try:
                if (client := now()) is not None:
                    wanted = _VERSIONS[reader] or (await client.found(slug)).dataset.version
                    self.note(await client.read(slug, wanted))
                    self._times[reader] += 1
            except _AWAY:
                pass
            except NotFound as error:
                if self.hashes:
                    self.torn.append(f"What was there is not found: {error}")
            except Stage1Error as error:
                self.torn.append(f"{type(error).__name__}: {error}")
            await asyncio.sleep(_PAUSE_SECONDS)

    async def all_read(self, tasks: Sequence[asyncio.Task[None]]) -> None:
        """Until each has read one more whole version."""
        before = tuple(self._times)

        def have_read() -> bool:
            return all(now > then for now, then in zip(self._times, before, strict=True))

        def have_ended() -> bool:
            return any(task.done() for task in tasks)

        await until(lambda: have_read() or have_ended(), "all readers have read once more")


@asynccontextmanager
async def reading(
    readers: Readers, slug: str, now: Callable[[], Client | None]
) -> AsyncIterator[Readers]:
    """`now` is the client to take, None while there is no service. Each has read before the block
    begins, and reads again when it has ended well: a fault may stop them, not for good."""
    tasks = [
        asyncio.create_task(readers.read_on(slug, reader, now)) for reader in range(len(_VERSIONS))
    ]
    try:
        await readers.all_read(tasks)
        yield readers
        await readers.all_read(tasks)
    finally:
        for task in tasks:
            task.cancel()
        for task in tasks:
            with suppress(asyncio.CancelledError):
                await task
