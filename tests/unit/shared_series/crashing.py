"""The life of a store, ended by SIGKILL before a chosen step on the disk."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

from services.shared.series.arrow_files import ArrowFiles, arrow_files
from tests.contract.series_store import (
    BARS,
    PREDICTIONS,
    PREDICTIONS_KEY,
    bars,
    predictions,
    stream,
)


async def live(store: ArrowFiles) -> None:
    """Every kind of change, each repeatable."""
    await store.create("base", BARS)
    await store.write("base", stream(bars(0, 100)))
    await store.create("staged", BARS)
    await store.write("staged", stream(bars(100, 150)))
    await store.merge("staged", "base")
    await store.drop("staged")
    await store.create("wf", PREDICTIONS, key=PREDICTIONS_KEY)
    await store.write("wf", stream(predictions((t, 0, 1, 0.5) for t in range(50))))
    await store.write("wf", stream(predictions((t, 1, 1, 0.5) for t in range(20, 80))))


def live_until(root: Path, step: int) -> None:
    steps = iter(range(step))

    def counted(function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            if next(steps, None) is None:
                os.kill(os.getpid(), signal.SIGKILL)
            return function(*args, **kwargs)

        return call

    for name in ("rename", "fsync", "unlink", "rmdir", "mkdir"):
        setattr(os, name, counted(getattr(os, name)))
    asyncio.run(_live_in(root))


async def _live_in(root: Path) -> None:
    async with arrow_files(root) as store:
        await live(store)
