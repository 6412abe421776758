"""What an import would make of one file, and why; nothing of it is kept."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final
from uuid import uuid4

from services.dataset.app.order import Part, PartBytes
from services.dataset.app.places import Places
from services.dataset.app.preparing import describe_file, read_all, times_of, told
from services.dataset.domain.catalogue import Report
from services.dataset.domain.columns import Column
from services.dataset.domain.sessions import SessionSource
from services.dataset.domain.timeline import Clock, Reading, read_timeline
from services.dataset.domain.times import Times
from services.dataset.storage.spool import Spool, Upload
from services.shared.errors import InvalidRequest, Violation
from services.shared.threads import in_thread

_AT_A_TIME: Final = 2
_TOO_FEW: Final = "There are too few rows to tell the distance of bars and their calendar."


@dataclass(frozen=True, kw_only=True)
class SniffOrder:
    part: Part
    clock: Clock


@dataclass(frozen=True, kw_only=True)
class Sniffed:
    """`part` has every option that was not given, as it was guessed. Without two rows there is
    no calendar and no interval."""

    part: Part
    rows: int
    first_ms: int
    last_ms: int
    columns: tuple[Column, ...]
    report: Report
    missing_slots: int
    calendar: str
    bar_interval_ms: int


class Sniffing:
    def __init__(self, *, spool: Spool, sessions: SessionSource, places: Places) -> None:
        self._spool = spool
        self._sessions = sessions
        self._places = places
        self._slots = asyncio.Semaphore(_AT_A_TIME)

    async def run(self, order: SniffOrder, pieces: AsyncIterator[PartBytes]) -> Sniffed:
        """Raises InvalidRequest for what an import would refuse, and TooManyImports."""
        with self._places.one():
            async with self._spool.upload(uuid4(), 1) as upload:
                return await self._run(order, upload, pieces)

    async def _run(
        self, order: SniffOrder, upload: Upload, pieces: AsyncIterator[PartBytes]
    ) -> Sniffed:
        async for piece in pieces:
            await upload.write(piece.part, piece.data)
        upload.close()
        if upload.missing():
            raise InvalidRequest([Violation("header.part", "has no bytes")])
        async with self._slots:
            return await in_thread(sniff, order, upload.paths[0], self._sessions)


def sniff(order: SniffOrder, path: Path, sessions: SessionSource) -> Sniffed:
    part = order.part
    file = read_all([part], [path])[part.table]
    times = times_of(file.table)
    timeline = _timeline(times, order.clock, sessions)
    columns, warnings = describe_file(part.table, file, (), 0)
    found = timeline.timeline if timeline else None
    return Sniffed(
        part=replace(part, options=file.used),
        rows=len(times),
        first_ms=int(times[0]),
        last_ms=int(times[-1]),
        columns=tuple(columns),
        report=Report(
            notes=(*told(part.table, file), *(timeline.notes if timeline else (_TOO_FEW,))),
            warnings=(*(timeline.warnings if timeline else ()), *warnings),
            trimmed_head_rows=file.trimmed_head,
            trimmed_tail_rows=file.trimmed_tail,
        ),
        missing_slots=sum(gap.missing for gap in found.gaps) if found else 0,
        calendar=found.calendar if found else "",
        bar_interval_ms=found.bar_interval_ms if found else 0,
    )


def _timeline(times: Times, clock: Clock, sessions: SessionSource) -> Reading | None:
    """Of indicators too: as if their rows were all the bars there are."""
    return read_timeline(times, None, clock, sessions) if len(times) > 1 else None
