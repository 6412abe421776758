"""People who read while things fail: whatever they get is one version, whole."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
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

_AWAY = (Unavailable, DeadlineExceeded, Stalled, Cancelled)
_PAUSE_SECONDS = 0.05


@dataclass
class Readers:
    """`torn` are sentences; the first reader takes the newest version, the second the first."""

    hashes: dict[int, str] = field(default_factory=dict)
    reads: int = 0
    torn: list[str] = field(default_factory=list)

    def note(self, seen: Seen) -> None:
        self.reads += 1
        if not seen.is_sound:
            self.torn.append(f"{seen} is not what its manifest says.")
        known = self.hashes.setdefault(seen.version, seen.content_hash)
        if known != seen.content_hash:
            self.torn.append(f"Version {seen.version} changed from {known} to {seen.content_hash}.")

    async def read_on(self, slug: str, version: int, now: Callable[[], Client | None]) -> None:
        while True:
            try:
                if (client := now()) is not None:
                    wanted = version or (await client.found(slug)).dataset.version
                    self.note(await client.read(slug, wanted))
            except _AWAY:
                pass
            except NotFound as error:
                if self.hashes:
                    self.torn.append(f"What was there is not found: {error}")
            except Stage1Error as error:
                self.torn.append(f"{type(error).__name__}: {error}")
            await asyncio.sleep(_PAUSE_SECONDS)


@asynccontextmanager
async def reading(
    readers: Readers, slug: str, now: Callable[[], Client | None]
) -> AsyncIterator[Readers]:
    """`now` is the client to take, None while there is no service."""
    tasks = [asyncio.create_task(readers.read_on(slug, v, now)) for v in (0, 1)]
    try:
        yield readers
    finally:
        for task in tasks:
            task.cancel()
        for task in tasks:
            with suppress(asyncio.CancelledError):
                await task
