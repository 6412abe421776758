"""The folder that holds everything one Stage1 knows, and who may use it.

It says in stage1.json what wrote it. A lock keeps a second Stage1 out; the
children hold it too, so it is free only when the last of them has ended.
"""

from __future__ import annotations

import asyncio
import errno
import fcntl
import json
import os
import shutil
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

from gateway.cli.exit_codes import ExitCode
from gateway.cli.failure import Failure

Series = Literal["arrow", "questdb"]

MARKER: Final = "stage1.json"
FORMAT: Final = 1
STORES: Final[Mapping[str, Series]] = {"arrow_files": "arrow", "questdb": "questdb"}
"""What the marker says, and what it is called elsewhere."""
NEEDED_BYTES: Final = 256 << 20
LEFTOVER_SECONDS: Final = 30.0
_FULL: Final = (errno.ENOSPC, errno.EDQUOT)


@dataclass(frozen=True, kw_only=True)
class DataFolder:
    path: Path
    series: Series
    lock: int
    """Descriptor to hand to every child."""

    @property
    def postgres(self) -> Path:
        return self.path / "postgres"

    @property
    def questdb(self) -> Path:
        return self.path / "questdb"

    @property
    def secrets(self) -> Path:
        return self.path / "secrets"

    @property
    def log(self) -> Path:
        return self.path / "stage1.log"

    def forget_addresses(self) -> None:
        """Where the stores of an earlier start were reached."""
        for file in (self.path / "postgres.dsn", *self.secrets.glob("*.dsn")):
            file.unlink(missing_ok=True)

    def announce(self, url: str) -> None:
        """Tell a second Stage1 who is here."""
        os.ftruncate(self.lock, 0)
        os.pwrite(self.lock, json.dumps({"pid": os.getpid(), "url": url}).encode(), 0)


@asynccontextmanager
async def opened(
    path: Path, series: Series | None = None, *, needed_bytes: int = NEEDED_BYTES
) -> AsyncIterator[DataFolder]:
    """The folder, made when missing, ours until the block and all children end.

    Without `series` its own stays; a new folder keeps Arrow files.
    """
    with usable(path):
        lock, kept = _made(path, series, needed_bytes)
    try:
        await _take(lock, path)
        folder = DataFolder(path=path, series=kept, lock=lock)
        folder.announce("")
        yield folder
    finally:
        os.close(lock)


@contextmanager
def usable(path: Path) -> Iterator[None]:
    """What the operating system refuses, as a sentence."""
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            raise Failure(f"The disk that holds {path} is full.", ExitCode.DISK_FULL) from error
        raise Failure(
            f"{path} cannot be used as a data directory: {error.strerror}.", ExitCode.FOREIGN_DATA
        ) from error


def _made(path: Path, series: Series | None, needed_bytes: int) -> tuple[int, Series]:
    path.mkdir(parents=True, exist_ok=True)
    kept = _recognised(path, series)
    _roomy(path, needed_bytes)
    return os.open(path / "lock", os.O_RDWR | os.O_CREAT, 0o600), kept


def _recognised(path: Path, series: Series | None) -> Series:
    """Where the folder's series lie."""
    marker = path / MARKER
    if marker.exists():
        kept = _readable(path, _read(marker))
        if series in (None, kept):
            return kept
        _still_empty(path, kept, series)
    elif any(path.iterdir()):
        raise Failure(
            f"{path} has files, but no {MARKER}: it is not a Stage1 data directory, "
            "so choose an empty or a new one with --data-dir.",
            ExitCode.FOREIGN_DATA,
        )
    chosen: Series = series or "arrow"
    _write(marker, chosen)
    return chosen


def _still_empty(path: Path, kept: Series, series: Series | None) -> None:
    if (path / "postgres").exists():
        raise Failure(
            f"{path} keeps its series in the store {kept!r}, and with --series {series} all of "
            f"them would seem lost: leave the option out, or choose another --data-dir.",
            ExitCode.OTHER_STORE,
        )


def _read(marker: Path) -> dict[str, Any]:
    with suppress(ValueError):
        said = json.loads(marker.read_text("utf-8"))
        if isinstance(said, dict) and isinstance(said.get("format"), int):
            return said
    raise Failure(
        f"{marker} is not what Stage1 writes: the data directory is foreign or damaged.",
        ExitCode.FOREIGN_DATA,
    )


def _readable(path: Path, said: dict[str, Any]) -> Series:
    if said["format"] > FORMAT:
        raise Failure(
            f"{path} has data format {said['format']}, and this Stage1 reads up to {FORMAT}: "
            "a newer Stage1 wrote it, use that one.",
            ExitCode.NEWER_DATA,
        )
    store = str(said.get("series_store"))
    if store not in STORES:
        raise Failure(
            f"{path} keeps its series in {store!r}, "
            f"and this Stage1 knows {' and '.join(map(repr, STORES))} only.",
            ExitCode.FOREIGN_DATA,
        )
    return STORES[store]


def _write(marker: Path, series: Series) -> None:
    [store] = [name for name, called in STORES.items() if called == series]
    aside = marker.with_suffix(".new")
    aside.write_text(json.dumps({"format": FORMAT, "series_store": store}) + "\n", "utf-8")
    aside.rename(marker)


def _roomy(path: Path, needed: int) -> None:
    free = shutil.disk_usage(path).free
    if free < needed:
        raise Failure(
            f"The disk that holds {path} is full: {free >> 20} MiB are free and "
            f"Stage1 needs at least {needed >> 20} MiB to start.",
            ExitCode.DISK_FULL,
        )


async def _take(lock: int, path: Path) -> None:
    """Waits while children of a killed Stage1 are still ending."""
    until = time.monotonic() + LEFTOVER_SECONDS
    while True:
        with suppress(BlockingIOError):
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        holder = _holder(lock)
        if _alive(holder.get("pid")) or time.monotonic() > until:
            raise Failure(_held(path, holder), ExitCode.ALREADY_RUNNING)
        await asyncio.sleep(0.1)


def _held(path: Path, holder: dict[str, Any]) -> str:
    where = f" at {holder['url']}" if holder.get("url") else ""
    return (
        f"Stage1 is already running on {path}{where} (process {holder.get('pid', 'unknown')}): "
        "use it, stop it, or choose another --data-dir."
    )


def _holder(lock: int) -> dict[str, Any]:
    with suppress(ValueError):
        said: dict[str, Any] = json.loads(os.pread(lock, 4096, 0))
        return said
    return {}


def _alive(pid: int | None) -> bool:
    # Without a number the holder is just starting and has not said who it is.
    if pid is None:
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
