"""Files that are there whole or not at all: written aside, synced, renamed."""

from __future__ import annotations

import asyncio
import errno
import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import ParamSpec, TypeVar

from services.shared.errors import Exhausted, Unavailable

P = ParamSpec("P")
T = TypeVar("T")


class DiskFull(Exhausted):
    reason = "DISK_FULL"


class StoreInUse(Unavailable):
    reason = "SERIES_STORE_IN_USE"


async def in_thread(work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """As asyncio.to_thread, but a cancelled caller waits: what follows may touch the same files."""
    return await ended(asyncio.ensure_future(asyncio.to_thread(work, *args, **kwargs)))


async def ended(job: asyncio.Future[T]) -> T:
    """Its result; a cancelled caller waits until it has ended."""
    try:
        return await asyncio.shield(job)
    except asyncio.CancelledError:
        await asyncio.wait([job])
        if not job.cancelled():
            job.exception()  # seen: nobody waits for it any more
        raise


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
