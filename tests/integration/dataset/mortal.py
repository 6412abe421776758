"""A process that dies at any step: what it works with stops working there."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from services.dataset.storage.postgres import PostgresCatalogue
from services.shared import failpoints
from services.shared.series.arrow_files import ArrowFiles


class Crash(BaseException):
    """No handler of ours catches it, as none runs when a process is killed."""


@dataclass
class Life:
    """Ends at a step; whatever is tried afterwards ends at once."""

    steps: int | None = None
    taken: int = field(default=0, init=False)

    def step(self) -> None:
        self.taken += 1
        if self.steps is not None and self.taken > self.steps:
            raise Crash


class MortalCatalogue:
    """Steps: before a transaction, before its COMMIT, after it."""

    def __init__(self, life: Life, catalogue: PostgresCatalogue) -> None:
        self._catalogue = catalogue
        self._life = life

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Any]:
        self._life.step()
        async with self._catalogue.transaction() as transaction:
            yield transaction
            self._life.step()
        self._life.step()


class MortalSeries:
    """Steps: before and after every method that changes something."""

    def __init__(self, life: Life, series: ArrowFiles) -> None:
        self._series = series
        self._life = life

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._series, name)
        if name not in {"create", "write", "settle", "merge", "drop"}:
            return method

        async def mortal(*args: Any, **kwargs: Any) -> Any:
            self._life.step()
            result = await method(*args, **kwargs)
            self._life.step()
            return result

        return mortal


def mortal(life: Life) -> dict[str, Any]:
    return {
        "catalogue": partial(MortalCatalogue, life),
        "series": partial(MortalSeries, life),
        "recover": False,
    }


@contextmanager
def armed(trap: failpoints.Trap) -> Iterator[None]:
    failpoints.arm(trap)
    try:
        yield
    finally:
        failpoints._armed.remove(trap)


class Paused:
    """Stops an append at a failpoint until it may go on."""

    def __init__(self, place: str) -> None:
        self._place = place
        self.reached, self.may_go_on = asyncio.Event(), asyncio.Event()

    async def __call__(self, name: str) -> None:
        if name == self._place and not self.reached.is_set():
            self.reached.set()
            await self.may_go_on.wait()
