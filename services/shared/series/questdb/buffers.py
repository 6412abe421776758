"""Memory for answers, which no allocator sees.

Blocks of megabytes come and go here in many threads, of which allocators keep several times
what is in use. Mapped memory goes back to the system at once; two blocks are kept for the
next answers, as fresh pages cost a tenth of reading.
"""

from __future__ import annotations

import mmap
import weakref
from collections import deque
from typing import Final, Protocol

import numpy as np
import pyarrow as pa

KEPT: Final = 2
_UNIT: Final = 1 << 20


class AnswerTooLong(Exception):
    """What it said is lost: ask for less."""


class Reply(Protocol):
    def readinto(self, buffer: memoryview, /) -> int: ...


class Buffers:
    def __init__(self) -> None:
        self._kept: deque[mmap.mmap] = deque()

    def read(self, reply: Reply, likely: int, most: int | None = None) -> pa.Buffer:
        """All of a reply, `likely` so many bytes. Raises AnswerTooLong beyond `most`."""
        memory, length = self._taken(likely), 0
        while more := reply.readinto(memoryview(memory)[length:]):
            length += more
            if most is not None and length > most:
                raise AnswerTooLong
            if length == len(memory):
                memory = _grown(memory)
        return self._lent(memory, length)

    def _taken(self, size: int) -> mmap.mmap:
        try:
            memory = self._kept.pop()
        except IndexError:
            return _mapped(size)
        return memory if len(memory) > size else _mapped(size)

    def _lent(self, memory: mmap.mmap, size: int) -> pa.Buffer:
        """The memory comes back when nobody refers to the buffer or a part of it any more."""
        view = np.frombuffer(memory, np.uint8, size)
        weakref.finalize(view, self._back, memory).atexit = False
        return pa.py_buffer(view)

    def _back(self, memory: mmap.mmap) -> None:
        if len(self._kept) < KEPT:
            self._kept.append(memory)


def _mapped(size: int) -> mmap.mmap:
    units = size // _UNIT + 1
    return mmap.mmap(-1, units * _UNIT, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)


def _grown(memory: mmap.mmap) -> mmap.mmap:
    larger = _mapped(len(memory) * 3 // 2)
    larger[: len(memory)] = memory
    return larger
