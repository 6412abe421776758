"""What the processes of a Stage1 cost: memory that is theirs alone, and processor time."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

PROC: Final = Path("/proc")


@dataclass(frozen=True, kw_only=True)
class Usage:
    processes: int
    anonymous_bytes: int
    cpu_seconds: float


@dataclass(frozen=True, kw_only=True)
class _Process:
    pid: int
    parent: int
    usage: Usage


def by_name(roots: Mapping[str, int]) -> dict[str, Usage] | None:
    """Each root with all it started. None where there is no /proc (macOS)."""
    if not (PROC / "self" / "status").exists():
        return None
    processes = list(_processes())
    return {name: _sum(_family(pid, processes)) for name, pid in roots.items()}


def postmaster(folder: Path) -> int:
    """The server's own process, which is nobody's child."""
    return int((folder / "postmaster.pid").read_text("utf-8").split(maxsplit=1)[0])


def _processes() -> Iterator[_Process]:
    for folder in PROC.glob("[0-9]*"):
        with suppress(OSError):  # it ended meanwhile
            yield _process(folder)


def _process(folder: Path) -> _Process:
    # The name, in brackets, may hold anything; after it the fields have fixed places.
    fields = (folder / "stat").read_text().rpartition(")")[2].split()
    ticks = int(fields[11]) + int(fields[12])
    return _Process(
        pid=int(folder.name),
        parent=int(fields[1]),
        usage=Usage(
            processes=1,
            anonymous_bytes=_anonymous(folder),
            cpu_seconds=ticks / os.sysconf("SC_CLK_TCK"),
        ),
    )


def _anonymous(folder: Path) -> int:
    for line in (folder / "status").read_text().splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) << 10
    return 0


def _family(root: int, processes: list[_Process]) -> list[_Process]:
    members, found = {root}, 0
    while len(members) > found:
        found = len(members)
        members |= {p.pid for p in processes if p.parent in members}
    return [p for p in processes if p.pid in members]


def _sum(family: list[_Process]) -> Usage:
    return Usage(
        processes=len(family),
        anonymous_bytes=sum(p.usage.anonymous_bytes for p in family),
        cpu_seconds=sum(p.usage.cpu_seconds for p in family),
    )
