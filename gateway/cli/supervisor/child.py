"""One process that is kept running, and ended with all it started."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import BinaryIO, Final

POLL_SECONDS: Final = 0.2
STEADY_SECONDS: Final = 30.0
FIRST_DELAY_SECONDS: Final = 0.2
LONGEST_DELAY_SECONDS: Final = 10.0
GRACE_SECONDS: Final = 12.0
"""Longer than a service's drain, so that SIGKILL only meets what hangs."""


@dataclass(frozen=True, kw_only=True)
class Program:
    """What to run: a module with its arguments, in a process of its own."""

    name: str
    module: tuple[str, ...]
    environment: Mapping[str, str]
    ready: Callable[[], Awaitable[bool]]
    address: str = ""


@dataclass(frozen=True, kw_only=True)
class Surroundings:
    """What all children share."""

    log: BinaryIO
    lock: int
    say: Callable[[str], None]
    grace_seconds: float = GRACE_SECONDS


def delay_after(failures: int) -> float:
    """Seconds to wait after so many deaths in a row, from 1."""
    return min(FIRST_DELAY_SECONDS * 2.0 ** (failures - 1), LONGEST_DELAY_SECONDS)


class Child:
    """`keep` runs it until it is cancelled; `ready` is set while it answers."""

    def __init__(self, program: Program, surroundings: Surroundings) -> None:
        self.program = program
        self.ready = asyncio.Event()
        self.pid: int | None = None
        self.failures = 0
        self._around = surroundings

    async def keep(self) -> None:
        while True:
            started = time.monotonic()
            end = await self._once()
            steady = time.monotonic() - started > STEADY_SECONDS
            self.failures = 1 if steady else self.failures + 1
            delay = delay_after(self.failures)
            self._around.say(f"{self.program.name} {end}; starting it again in {delay:.1f} s.")
            await asyncio.sleep(delay)

    async def _once(self) -> str:
        """How it ended."""
        try:
            async with self._running() as process:
                return _how(await process.wait())
        except OSError as error:
            return f"could not be started ({error.strerror})"

    @asynccontextmanager
    async def _running(self) -> AsyncIterator[asyncio.subprocess.Process]:
        process, leash = await self._spawn()
        self.pid = process.pid
        watching = asyncio.create_task(self._watch())
        try:
            yield process
        finally:
            watching.cancel()
            self.ready.clear()
            self.pid = None
            await _end(process, self._around.grace_seconds)
            os.close(leash)

    async def _spawn(self) -> tuple[asyncio.subprocess.Process, int]:
        """The process and our end of its leash."""
        theirs, ours = os.pipe()
        try:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "gateway.cli.supervisor.leash", *self.program.module),
                stdin=theirs,
                stdout=self._around.log,
                stderr=subprocess.STDOUT,
                env=self.program.environment,
                pass_fds=(self._around.lock,),
                start_new_session=True,
            )
        except BaseException:
            os.close(ours)
            raise
        finally:
            os.close(theirs)
        return process, ours

    async def _watch(self) -> None:
        while not await self.program.ready():  # noqa: ASYNC110 - the process is asked, it does not tell
            await asyncio.sleep(POLL_SECONDS)
        self.ready.set()


async def _end(process: asyncio.subprocess.Process, grace_seconds: float) -> None:
    if process.returncode is None:
        process.terminate()
        with suppress(TimeoutError):
            await asyncio.wait_for(process.wait(), grace_seconds)
    # Whatever it started and left behind is in its group.
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    await process.wait()


def _how(status: int) -> str:
    if status < 0:
        return f"was killed by {signal.Signals(-status).name}"
    return f"ended with status {status}"
