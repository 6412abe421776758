"""The table of faults: what was tried how often, and what came of it."""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import astuple, dataclass, field
from pathlib import Path
from tempfile import mkdtemp
from typing import Final, TypeVar

from services.shared.questdb_server import Server as QuestDB
from services.shared.questdb_server import answers
from tests.faults.house import House, house
from tests.faults.oracle import Verdict
from tests.faults.servers import Postgres
from tests.faults.world import World

T = TypeVar("T")
_LOG_CHARACTERS: Final = 30_000
_CASE_SECONDS: Final = 270.0  # before pytest's timeout: it leaves the case's tasks running
_PLACE: Final = re.compile(r"\b(at|from) (import|append)\.\w+( \([^)]*\))?")
_NUMBER: Final = re.compile(r"(\w+) \d+(?= of an )")
EVERYTHING: Final = os.environ.get("STAGE1_FAULTS") == "all"
"""Otherwise each kind of fault once, for `make test`."""


def chosen(everything: Iterable[T], *quick: T) -> Sequence[T]:
    return list(everything) if EVERYTHING else list(quick)


@dataclass
class Row:
    tried: int = 0
    lost: int = 0
    duplicated: int = 0
    torn: int = 0
    untrue: int = 0
    stuck: int = 0
    orphaned: int = 0
    reads: int = 0
    failed: int = 0

    def plus(self, other: Row) -> Row:
        return Row(*(sum(both) for both in zip(astuple(self), astuple(other), strict=True)))

    def add(self, verdict: Verdict, reads: int, failed: bool) -> None:
        self.tried += 1
        self.lost += len(verdict.lost)
        self.duplicated += len(verdict.duplicated)
        self.torn += len(verdict.torn)
        self.untrue += len(verdict.untrue)
        self.stuck += len(verdict.stuck)
        self.orphaned += len(verdict.orphaned)
        self.reads += reads
        self.failed += failed


@dataclass
class Table:
    rows: dict[tuple[str, str], Row] = field(default_factory=dict)

    def row(self, fault: str, store: str) -> Row:
        return self.rows.setdefault((fault, store), Row())

    def forget(self, fault: str, store: str) -> None:
        """There was no such fault."""
        del self.rows[fault, store]

    def summed(self) -> Table:
        """Over the places at which a fault strikes."""
        whole = Table()
        for (fault, store), row in self.rows.items():
            kind = _PLACE.sub(r"\1 any step of an \2", _NUMBER.sub(r"each \1", fault)), store
            whole.rows[kind] = whole.row(*kind).plus(row)
        return whole

    def lines(self) -> list[str]:
        """As docs/ keeps them."""
        names = ["tried", "lost", "duplicated", "torn", "untrue"]
        names += ["stuck", "orphaned", "reads", "failed"]
        lines = [f"| fault | store | {' | '.join(names)} |", f"|{' --- |' * (len(names) + 2)}"]
        for (fault, store), row in self.rows.items():
            figures = " | ".join(str(getattr(row, name)) for name in names)
            lines.append(f"| {fault} | {store} | {figures} |")
        return lines


@dataclass(kw_only=True)
class Cases:
    """Cases on the same store share a house, for a service takes seconds to start; one in which a
    case failed is given up. `questdb` starts a server when it is first asked for one."""

    folder: Path
    postgres: Postgres
    questdb: Callable[[], QuestDB]
    table: Table
    stacks: dict[str, AsyncExitStack] = field(default_factory=dict)
    houses: dict[str, House] = field(default_factory=dict)

    @asynccontextmanager
    async def case(self, fault: str, store: str, own: House | None = None) -> AsyncIterator[World]:
        """With version 1 of a dataset, which two read all the time, in a house of its own where it
        brings one. Fails when the block does or takes too long, and when the oracle or a reader
        has seen what may not be."""
        row = self.table.row(fault, store)
        standing = own or await self._standing(store)
        world, failed = World(house=standing), True
        try:
            async with asyncio.timeout(_CASE_SECONDS):
                await world.begin()
                async with world.reading():
                    yield world
            verdict = world.oracle.verdict
            assert not verdict.sentences, "\n".join(verdict.sentences)
            await standing.tidy()
            failed = False
        finally:
            row.add(world.oracle.verdict, world.readers.reads, failed)
            if failed:
                print(standing.log()[-_LOG_CHARACTERS:])  # noqa: T201 - pytest shows it
                if own is None:
                    await self.leave(store)

    async def _standing(self, store: str) -> House:
        if store not in self.houses:
            await self.leave(store)  # one that could not be moved into
            questdb = self.questdb() if store == "questdb" else None
            await _up_again(self.postgres, questdb)
            folder = Path(mkdtemp(dir=self.folder))
            self.stacks[store] = stack = AsyncExitStack()
            new = await stack.enter_async_context(house(folder, self.postgres, questdb))
            await new.start()
            self.houses[store] = new
        return self.houses[store]

    async def leave(self, store: str) -> None:
        self.houses.pop(store, None)
        if store in self.stacks:
            await self.stacks.pop(store).aclose()


async def _up_again(postgres: Postgres, questdb: QuestDB | None) -> None:
    """A case that failed may have left them dead."""
    await asyncio.to_thread(postgres.start)
    if questdb is not None and not await answers(questdb.url):
        await asyncio.to_thread(questdb.kill)
        await asyncio.to_thread(questdb.start)
