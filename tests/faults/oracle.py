"""What must hold after a fault: acknowledged is there, unacknowledged is there whole or not at
all, once, and nothing is stuck or left over."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psycopg

from services.shared.errors import (
    AlreadyExists,
    Conflict,
    Exhausted,
    InvalidRequest,
    NotFound,
    Stage1Error,
    TooLarge,
    Unauthenticated,
)
from tests.faults.client import Acknowledged, Client, Seen
from tests.faults.market import Request
from tests.faults.processes import DEADLINE_SECONDS, until_true

Names = Callable[[], Awaitable[set[str]]]
Answers = Sequence[Acknowledged | Stage1Error]
# They say that nothing was published; after any other error nobody knows.
_REFUSALS = (
    *(InvalidRequest, NotFound, AlreadyExists, Conflict),
    *(Unauthenticated, Exhausted, TooLarge),
)
_FINAL = ("PUBLISHED", "CLEANED", "REJECTED", "ABANDONED")


@dataclass
class Verdict:
    """Sentences, one for each thing that is not as it must be."""

    lost: list[str] = field(default_factory=list)
    duplicated: list[str] = field(default_factory=list)
    torn: list[str] = field(default_factory=list)
    untrue: list[str] = field(default_factory=list)
    """Refused, and there all the same."""
    stuck: list[str] = field(default_factory=list)
    orphaned: list[str] = field(default_factory=list)

    @property
    def sentences(self) -> list[str]:
        kinds = (self.lost, self.duplicated, self.torn, self.untrue, self.stuck, self.orphaned)
        return [sentence for kind in kinds for sentence in kind]


class Oracle:
    """`folder` is the data folder of the service; `dsn` is past all faulty links; `tables` and
    `asides`, which are half-made tables, are those of the series store."""

    def __init__(self, *, slug: str, dsn: str, folder: Path, tables: Names, asides: Names) -> None:
        self._slug = slug
        self._dsn = dsn
        self._spool = folder / "dataset" / "spool"
        self._tables = tables
        self._asides = asides
        self._published: list[str] = []
        """Content hashes of versions 1, 2, …, as far as they must be there."""
        self.verdict = Verdict()

    def know(self, request: Request) -> None:
        """It is the next version, undisturbed."""
        self._published.append(request.content.hash)

    async def judge(self, client: Client, request: Request, answers: Answers) -> None:
        """After recovery: what one request, made once or more with one key, has become."""
        acknowledged = [answer for answer in answers if isinstance(answer, Acknowledged)]
        await self._settled()
        seen = await self._versions(client)
        self._hold_acknowledged(acknowledged, seen)
        self._hold_known(seen)
        self._hold_whole_or_absent(request, answers, seen)
        await self._repeat(client, request, seen)
        await self._settled()

    async def _versions(self, client: Client) -> dict[int, Seen]:
        try:
            versions = (await client.found(self._slug, patient=True)).versions
        except NotFound:
            return {}
        return {version: await client.read(self._slug, version) for version in versions}

    def _hold_acknowledged(
        self, acknowledged: Sequence[Acknowledged], seen: Mapping[int, Seen]
    ) -> None:
        for answer in acknowledged:
            found = seen.get(answer.version)
            if found is None or found.content_hash != answer.content_hash:
                self.verdict.lost.append(f"{answer} was answered, and {found} is there.")
        if len({answer.version for answer in acknowledged}) > 1:
            self.verdict.duplicated.append(f"One key gave {acknowledged}.")

    def _hold_known(self, seen: Mapping[int, Seen]) -> None:
        for found in seen.values():
            if not found.is_sound:
                self.verdict.torn.append(f"{found} is not what its manifest says.")
        for version, content_hash in enumerate(self._published, 1):
            found_there = seen.get(version)
            if found_there is None or found_there.content_hash != content_hash:
                self.verdict.lost.append(
                    f"Version {version} was {content_hash}, and {found_there} is there."
                )

    def _hold_whole_or_absent(
        self, request: Request, answers: Answers, seen: Mapping[int, Seen]
    ) -> None:
        """Before it is repeated: at most one version more than is known, and that is all of it."""
        mine = len(self._published) + 1
        more = sorted(set(seen) - set(range(1, mine)))
        if more not in ([], [mine]):
            self.verdict.duplicated.append(f"One request gave versions {more}, after {mine - 1}.")
        for version in more:
            if seen[version].content_hash != request.content.hash:
                self.verdict.torn.append(f"{seen[version]} is not the request's content.")
        if any(isinstance(answer, Acknowledged) for answer in answers) and not more:
            self.verdict.lost.append(f"It was acknowledged, and there is no version {mine}.")
        if more and answers and all(isinstance(answer, _REFUSALS) for answer in answers):
            told = [f"{answer}" for answer in answers]
            self.verdict.untrue.append(f"It was refused ({told}), and version {more[0]} is there.")

    async def _repeat(self, client: Client, request: Request, before: Mapping[int, Seen]) -> None:
        """The same request with the same key succeeds, and there is one version for it."""
        mine = len(self._published) + 1
        answer = await client.attempt(request)
        if isinstance(answer, Stage1Error):
            self.verdict.stuck.append(f"Repeated, it is refused: {answer.reason} {answer}")
            return
        after = await self._versions(client)
        self.know(request)
        self._hold_acknowledged([answer], after)
        self._hold_known(after)
        if answer.version != mine or set(after) != set(range(1, mine + 1)):
            self.verdict.duplicated.append(
                f"Version {mine} was to come of it: the answer is {answer.version}, "
                f"before {sorted(before)} were there, now {sorted(after)}."
            )

    async def _settled(self) -> None:
        """Soon no import is under way, and tables and uploads are those that are needed."""
        await self._soon(self._open_imports, self.verdict.stuck)
        await self._soon(self._leftovers, self.verdict.orphaned)

    async def _soon(self, look: Callable[[], Awaitable[str]], into: list[str]) -> None:
        """A sentence of `look` counts when it stays."""

        async def is_well() -> bool:
            return not await look()

        if not await until_true(is_well, DEADLINE_SECONDS) and (sentence := await look()):
            into.append(sentence)

    async def _open_imports(self) -> str:
        statement = "SELECT state, error FROM dataset.imports WHERE state <> ALL(%s)"
        rows = await self._query(statement, [list(_FINAL)])
        return f"These imports do not end: {rows}." if rows else ""

    async def _leftovers(self) -> str:
        needed = await self._needed()
        there = await self.tables()
        uploads = [path.name for path in self._spool.iterdir()]
        asides = await self._asides()
        if there == needed and not uploads and not asides:
            return ""
        return (
            f"Tables are {sorted(there)}, needed are {sorted(needed)}, "
            f"uploads {uploads}, half-made {sorted(asides)}."
        )

    async def tables(self) -> set[str]:
        """Of this case, in the series store."""
        return {t for t in await self._tables() if t.startswith(f"{self._slug}_v")}

    async def _needed(self) -> set[str]:
        rows: list[tuple[str | None, ...]] = await self._query(
            "SELECT v.ohlcv_measurement, v.indicator_measurement FROM dataset.dataset_versions v"
            " JOIN dataset.datasets d USING (dataset_id)"
            " WHERE d.deleted_at_ms IS NULL AND d.slug = %s",
            [self._slug],
        )
        return {table for row in rows for table in row if table}

    async def _query(self, statement: str, values: list[object]) -> list[tuple[Any, ...]]:
        async with await psycopg.AsyncConnection.connect(self._dsn) as connection:
            return await (await connection.execute(statement.encode(), values)).fetchall()


async def tables_of_arrow(folder: Path) -> set[str]:
    series = folder / "dataset" / "series"
    return {p.name for p in series.iterdir() if not p.name.startswith(".")}


async def asides_of_arrow(folder: Path) -> set[str]:
    return {p.name for p in (folder / "dataset" / "series" / ".aside").iterdir()}


async def tables_of_questdb(url: str) -> set[str]:
    async with httpx.AsyncClient(trust_env=False, timeout=60) as client:
        answer = await client.get(
            f"{url}/exec", params={"query": "select table_name from tables()"}
        )
    return {row[0] for row in answer.raise_for_status().json()["dataset"]}
