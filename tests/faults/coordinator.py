"""The dataset service as `python -m services.dataset` runs it, but mortal.

STAGE1_TEST_FAILPOINTS names a folder. Its file `armed` has lines `<failpoint> <how> <nth>
<serial>`, one for a failpoint; it is read whenever a failpoint is reached, so that a running
process can be armed. Each failpoint reached is a line of its file `reached`.
"""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path
from typing import Final

from services.dataset.__main__ import running
from services.dataset.settings import DatasetSettings
from services.shared import failpoints
from services.shared.process import run_service

_POLL_SECONDS: Final = 0.01


class Failpoints:
    def __init__(self, folder: Path) -> None:
        self._armed = folder / "armed"
        self._reached = folder / "reached"
        self._visits: dict[str, int] = {}

    async def trap(self, name: str) -> None:
        self._note(name)
        line = next((line for line in self._lines() if line.startswith(f"{name} ")), None)
        if line is None:
            return
        _, how, nth, _ = line.split()
        self._visits[line] = self._visits.get(line, 0) + 1
        if self._visits[line] == int(nth):
            await self._spring(name, how, line)

    async def _spring(self, name: str, how: str, line: str) -> None:
        self._note(f"{how} {name}")
        match how:
            case "kill":
                os.kill(os.getpid(), signal.SIGKILL)
            case "stop":
                os.kill(os.getpid(), signal.SIGSTOP)
            case "raise":
                raise RuntimeError(f"The test wants {name} to fail.")
            case "wait":
                while line in self._lines():  # noqa: ASYNC110 - another process disarms it
                    await asyncio.sleep(_POLL_SECONDS)

    def _lines(self) -> list[str]:
        try:
            return self._armed.read_text("utf-8").splitlines()
        except FileNotFoundError:
            return []

    def _note(self, line: str) -> None:
        with self._reached.open("a", encoding="utf-8") as file:
            file.write(f"{line}\n")


if __name__ == "__main__":
    failpoints.arm(Failpoints(Path(os.environ["STAGE1_TEST_FAILPOINTS"])).trap)
    run_service("dataset", DatasetSettings, running)
