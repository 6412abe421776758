"""Pages of mapped files: read here and now, or known to be in memory already."""

from __future__ import annotations

import ctypes
import mmap
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final, TypeAlias

import numpy as np
import pyarrow as pa

_PAGE: Final = mmap.PAGESIZE
_mincore = ctypes.PyDLL(None).mincore
_mincore.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_void_p)


class NotInMemory(Exception):
    """Who touched these pages would wait for the disk."""


Reach: TypeAlias = Callable[[pa.Buffer], None]
"""What is done with pages before they are used: `read_pages` or `expect_in_memory`."""


def read_pages(buffer: pa.Buffer) -> None:
    """In the thread of the caller."""
    if buffer.size:
        content = np.frombuffer(buffer, np.uint8)
        content[::_PAGE].max()
        content[-1].item()  # its last page, where it does not begin with one


def can_be_told(path: Path) -> bool:
    """Whether `expect_in_memory` knows: of others' files Linux says that all is in memory."""
    with suppress(FileNotFoundError):
        return os.access(path, os.W_OK) or path.stat().st_uid == os.geteuid()
    return False


def expect_in_memory(buffer: pa.Buffer) -> None:
    """Raises NotInMemory. Never waits for the disk. Of files of which it `can_be_told`."""
    if not buffer.size:
        return
    start = buffer.address // _PAGE * _PAGE
    size = buffer.address + buffer.size - start
    resident = bytearray(-(-size // _PAGE))
    if _mincore(start, size, ctypes.byref(ctypes.c_char.from_buffer(resident))) or 0 in resident:
        raise NotInMemory
