"""The dataset service as a process that can be killed, stopped and armed."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

DEADLINE_SECONDS: Final = 120.0
_POLL_SECONDS: Final = 0.02
_ROOT: Final = Path(__file__).parents[2]


async def until_true(is_so: Callable[[], Awaitable[bool]], seconds: float) -> bool:
    """Asks again and again; False when it is not so in time."""
    end = asyncio.get_running_loop().time() + seconds
    while not await is_so():
        if asyncio.get_running_loop().time() > end:
            return False
        await asyncio.sleep(_POLL_SECONDS)
    return True


async def until(is_so: Callable[[], bool], what: str, seconds: float = DEADLINE_SECONDS) -> None:
    """Raises AssertionError when it is not so in time."""

    async def look() -> bool:
        return is_so()

    assert await until_true(look, seconds), f"After {seconds:g} s still not: {what}."


class Failpoints:
    """What the processes of one case come by; they read it again each time."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self.folder = folder
        self._times_armed = 0
        self._armed: list[str] = []

    def arm(self, name: str, how: str, nth: int = 1) -> None:
        """Nothing else is armed; visits are counted from now on, what was reached is forgotten."""
        (self.folder / "reached").unlink(missing_ok=True)
        self._armed.clear()
        self.arm_too(name, how, nth)

    def arm_too(self, name: str, how: str, nth: int = 1) -> None:
        self._times_armed += 1
        self._armed.append(f"{name} {how} {nth} {self._times_armed}\n")
        aside = self.folder / "aside"
        aside.write_text("".join(self._armed), "utf-8")
        aside.replace(self.folder / "armed")

    def disarm(self) -> None:
        (self.folder / "armed").unlink(missing_ok=True)

    def reached(self) -> list[str]:
        log = self.folder / "reached"
        return log.read_text("utf-8").splitlines() if log.exists() else []

    def is_sprung(self, name: str, how: str) -> bool:
        return f"{how} {name}" in self.reached()

    async def sprung(self, name: str, how: str) -> None:
        await until(lambda: self.is_sprung(name, how), f"failpoint {name} reached")


class Coordinator:
    def __init__(self, process: asyncio.subprocess.Process, port: int, log: Path) -> None:
        self._process = process
        self.port = port
        self._log = log

    @property
    def has_ended(self) -> bool:
        return self._process.returncode is not None

    def log(self) -> str:
        return self._log.read_text("utf-8", "replace")

    async def kill(self) -> None:
        if not self.has_ended:
            self._process.kill()
        await self._process.wait()

    async def died(self) -> None:
        """Until it has killed itself."""
        async with asyncio.timeout(DEADLINE_SECONDS):
            assert await self._process.wait() == -signal.SIGKILL, self.log()

    async def refused_to_start(self) -> str:
        """What it says."""
        async with asyncio.timeout(DEADLINE_SECONDS):
            assert await self._process.wait() == 1, self.log()
        return self.log()

    async def stopped(self) -> None:
        """Until it has SIGSTOPped itself."""
        stat = Path(f"/proc/{self._process.pid}/stat")
        await until(
            lambda: stat.read_text().rpartition(")")[2].split()[0] == "T", "process stopped"
        )

    def resume(self) -> None:
        self._process.send_signal(signal.SIGCONT)


@asynccontextmanager
async def coordinator(
    environment: Mapping[str, str], port: int, log: Path
) -> AsyncIterator[Coordinator]:
    own = {**os.environ, **environment, "STAGE1_LISTEN": f"127.0.0.1:{port}"}
    with log.open("ab") as out:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "tests.faults.coordinator"),
            env=own,
            cwd=_ROOT,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=out,
            stderr=out,
        )
    running = Coordinator(process, port, log)
    try:
        yield running
    finally:
        await running.kill()
