"""Blocking reads, driven from the event loop without ever holding it up.

Rows that lie in memory are taken in the loop itself: handing them over from a thread
costs more than all other work on them. For what is on the disk there is a thread,
and while one group is sent the next is read.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from contextlib import aclosing
from functools import partial
from typing import Any, Final, TypeAlias

import pyarrow as pa

from services.shared.arrow_stream import Piece, size_of
from services.shared.series.pages import NotInMemory, expect_in_memory, read_pages
from services.shared.series.selection import MappedRows, Part, Selection
from services.shared.threads import in_thread

AHEAD_BYTES: Final = 4 << 20  # of rows in memory; two such groups are there at a time
MAPPED_AHEAD_BYTES: Final = 8 << 20  # of what lies in mapped files and takes no memory
_MOST_PARTS: Final = 32  # of a lot that is taken in the event loop: each takes some 20 µs

Select: TypeAlias = Callable[[], Awaitable[Selection]]


async def batches_of(select: Select) -> AsyncGenerator[pa.RecordBatch]:
    selection = await select()  # held to the end: so no compaction takes its files away
    async with aclosing(_batches(selection)) as batches:
        async for batch in batches:
            yield batch


def _batches(selection: Selection) -> AsyncGenerator[pa.RecordBatch]:
    return _driven(partial(_some, selection.batches()))


async def pieces_of(select: Select) -> AsyncGenerator[Piece]:
    """Stored messages and columns where they lie, as far as possible."""
    selection = await select()  # held as in `batches_of`
    lots = await in_thread(_lots, selection)
    if lots is None:
        async with aclosing(_batches(selection)) as batches:
            async for batch in batches:
                yield batch
        return
    while True:
        for piece in lots.at_hand():
            yield piece
        if lots.ended:
            return
        async with aclosing(_driven(lots.in_thread)) as pieces:
            async for piece in pieces:
                yield piece


def _lots(selection: Selection) -> _Lots | None:
    with selection.lost_files_told():
        mapped = selection.mapped()
        return _Lots(selection, mapped) if mapped else None


class _Lots:
    """Lots in turn: taken in the event loop where that is short work, else in a thread."""

    def __init__(self, selection: Selection, mapped: MappedRows) -> None:
        self._selection = selection
        self._mapped = mapped
        self._next: list[Part] | None = next(mapped.lots, None)
        self._open_next()
        self._needs_thread = False

    @property
    def ended(self) -> bool:
        return self._next is None

    def at_hand(self) -> Iterator[Piece]:
        """Up to the first lot that needs a thread. Never waits for the disk."""
        while self._next is not None:
            pieces = self._in_memory(self._next)
            if pieces is None:
                self._needs_thread = True
                return
            self._next = next(self._mapped.lots, None)
            yield from pieces

    def _in_memory(self, lot: list[Part]) -> list[Piece] | None:
        if len(lot) > _MOST_PARTS or not all(part.source.is_told for part in lot):
            return None
        try:
            return self._mapped.pieces(lot, expect_in_memory)
        except NotInMemory:
            return None

    def in_thread(self) -> list[Piece]:
        """The next group; nothing when the one before did not need a thread."""
        group: list[Piece] = []
        if not self._needs_thread:
            return group
        self._needs_thread = False
        with self._selection.lost_files_told():
            size = 0
            while self._next is not None and size < MAPPED_AHEAD_BYTES:
                pieces = self._read(self._next)
                self._next = next(self._mapped.lots, None)
                group += pieces
                size += sum(map(size_of, pieces))
        return group

    def _open_next(self) -> None:
        for part in self._next or ():
            part.source.map()

    def _read(self, lot: list[Part]) -> list[Piece]:
        self._open_next()
        pieces = self._in_memory(lot)
        if pieces is None:
            self._needs_thread = True
            pieces = self._mapped.pieces(lot, read_pages)
        return pieces


async def _driven(read: Callable[[], list[Any]]) -> AsyncGenerator[Any]:
    """What a blocking call gives again and again, until it gives nothing."""
    ahead = asyncio.ensure_future(in_thread(read))
    try:
        while group := await ahead:
            ahead = asyncio.ensure_future(in_thread(read))
            for piece in group:
                yield piece
    finally:
        ahead.cancel()
        await asyncio.wait([ahead])
        if not ahead.cancelled():
            ahead.exception()  # seen: nobody waits for it any more


def _some(batches: Iterator[pa.RecordBatch]) -> list[pa.RecordBatch]:
    group: list[pa.RecordBatch] = []
    size = 0
    for batch in batches:
        group.append(batch)
        size += size_of(batch)
        if size >= AHEAD_BYTES:
            break
    return group
