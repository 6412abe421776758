"""The table of faults: what was tried how often, and what came of it."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final, TypeVar

from services.shared.questdb_server import Server as QuestDB
from services.shared.questdb_server import answers
from tests.faults.oracle import Verdict
from tests.faults.servers import Postgres
from tests.faults.world import World, world

T = TypeVar("T")
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
    stuck: int = 0
    orphaned: int = 0
    reads: int = 0
    failed: int = 0

    def add(self, verdict: Verdict, reads: int, failed: bool) -> None:
        self.tried += 1
        self.lost += len(verdict.lost)
        self.duplicated += len(verdict.duplicated)
        self.torn += len(verdict.torn)
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

    def lines(self) -> list[str]:
        """As docs/ keeps them."""
        names = ["tried", "lost", "duplicated", "torn", "stuck", "orphaned", "reads", "failed"]
        lines = [f"| fault | store | {' | '.join(names)} |", f"|{' --- |' * (len(names) + 2)}"]
        for (fault, store), row in self.rows.items():
            figures = " | ".join(str(getattr(row, name)) for name in names)
            lines.append(f"| {fault} | {store} | {figures} |")
        return lines


@dataclass(frozen=True, kw_only=True)
class Cases:
    """`questdb` starts a server when it is first asked for one."""

    folder: Path
    postgres: Postgres
    questdb: Callable[[], QuestDB]
    table: Table

    def on(self, questdb: QuestDB) -> Cases:
        """The same with a QuestDB that is there already."""
        return replace(self, questdb=lambda: questdb)

    @asynccontextmanager
    async def case(self, fault: str, store: str) -> AsyncIterator[World]:
        """Fails when the block does, and when the oracle or a reader has seen what may not be."""
        row = self.table.row(fault, store)
        questdb = self.questdb() if store == "questdb" else None
        await _up_again(self.postgres, questdb)
        failed = True
        folder = self.folder / str(len(list(self.folder.iterdir())))
        folder.mkdir()
        async with world(folder, self.postgres, questdb) as scene:
            verdict = scene.oracle.verdict
            try:
                yield scene
                verdict.torn.extend(scene.readers.torn)
                assert not verdict.sentences, "\n".join(verdict.sentences)
                failed = False
            finally:
                row.add(verdict, scene.readers.reads, failed)
                if failed:
                    print(scene.log())  # noqa: T201 - pytest shows it beside the failure


async def _up_again(postgres: Postgres, questdb: QuestDB | None) -> None:
    """A case that failed may have left them dead."""
    await asyncio.to_thread(postgres.start)
    if questdb is not None and not await answers(questdb.url):
        await asyncio.to_thread(questdb.kill)
        await asyncio.to_thread(questdb.start)
