"""The life of a store, ended by SIGKILL before a chosen step on the disk."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import signal
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final, TypeAlias

from services.shared.series.arrow_files import ArrowFiles, arrow_files
from services.shared.series.compacting import MANY
from tests.contract.series_examples import (
    BARS,
    PREDICTIONS,
    PREDICTIONS_KEY,
    bars,
    predictions,
    stream,
)

Life: TypeAlias = Callable[[ArrowFiles], Awaitable[None]]

processes: Final = multiprocessing.get_context("forkserver")
# pyarrow loads pandas with its first array: once, not in every child.
processes.set_forkserver_preload(["pandas", __name__])


def killed_at(root: Path, step: int, life: Life) -> bool:
    """False when the store's life has fewer steps."""
    child = processes.Process(target=live_until, args=(root, step, life))
    child.start()
    child.join()
    assert child.exitcode in (0, -signal.SIGKILL)
    return child.exitcode != 0


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


async def grow(store: ArrowFiles, first: int = 0, last: int = MANY - 1) -> None:
    """One small write less than are compacted, to tables of both kinds."""
    await store.create("base", BARS)
    await store.create("wf", PREDICTIONS, key=PREDICTIONS_KEY)
    for i in range(first, last):
        await store.write("base", stream(bars(10 * i, 10 * i + 10)))
        overlapping = predictions((t, 0, 1, float(i)) for t in range(5 * i, 5 * i + 10))
        await store.write("wf", stream(overlapping))


async def grow_on(store: ArrowFiles) -> None:
    await grow(store, MANY - 1, MANY)


def live_until(root: Path, step: int, life: Life) -> None:
    steps = iter(range(step))

    def counted(function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            if next(steps, None) is None:
                os.kill(os.getpid(), signal.SIGKILL)
            return function(*args, **kwargs)

        return call

    for name in ("rename", "fsync", "unlink", "rmdir", "mkdir"):
        setattr(os, name, counted(getattr(os, name)))
    asyncio.run(_live_in(root, life))


async def _live_in(root: Path, life: Life) -> None:
    async with arrow_files(root) as store:
        await life(store)
