"""Files that are there whole or not at all: written aside, synced, renamed."""

from __future__ import annotations

import errno
import fcntl
import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from services.shared.errors import Exhausted, Unavailable

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

WRITE_BYTES: Final = 64 << 10
"""The kernel takes memory for a file in pieces as large as what is written at once. Larger ones
than this a virtual machine may first have to ask its host for, which took twelve times as long."""


class DiskFull(Exhausted):
    reason = "DISK_FULL"


class StoreInUse(Unavailable):
    reason = "SERIES_STORE_IN_USE"


@contextmanager
def disk_full_is_told(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise DiskFull(f"The disk of {path} is full: nothing was stored.") from error
        raise


@contextmanager
def owned(folder: Path) -> Iterator[None]:
    """One process at a time: renames by two would overwrite each other's segments."""
    with (folder / ".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StoreInUse(f"Another process has the series in {folder} open.") from None
        yield


class SmallWrites(io.FileIO):
    """A file written from its start to its end, however much is given at once."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, "w")
        self._position = 0

    def write(self, data: ReadableBuffer) -> int:
        """All of it; a nearly full disk takes a part, and fails with the next call."""
        left = memoryview(data).cast("B")
        size = len(left)
        while left:
            step = WRITE_BYTES - self._position % WRITE_BYTES
            written = super().write(left[:step])
            left = left[written:]
            self._position += written
        return size


def write_whole(path: Path, content: bytes) -> None:
    with path.open("xb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
