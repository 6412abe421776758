"""Models as files under their SHA-256, in a folder per run.

A file is written aside, synced and renamed, so a name always means its content.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import re
import shutil
from pathlib import Path
from typing import BinaryIO, Final
from uuid import UUID, uuid4

from services.shared.errors import TooLarge
from services.shared.series.disk import disk_full_is_told
from services.shared.threads import in_thread

MAX_BYTES: Final = 256 << 20
_ASIDE: Final = ".part"
_OURS: Final = re.compile("[0-9a-f]{32}")


class ModelFiles:
    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def begin(self, run_id: UUID) -> ModelFile:
        return ModelFile(self._folder / run_id.hex)

    async def clean(self) -> None:
        """Removes what a crash left half written; to be called before anything is."""
        await asyncio.to_thread(self._clean)

    def _clean(self) -> None:
        for part in self._folder.glob(f"*/*{_ASIDE}"):
            part.unlink()

    async def remove(self, run_id: UUID) -> None:
        """With all models of the run; repeatable."""
        await asyncio.to_thread(shutil.rmtree, self._folder / run_id.hex, ignore_errors=True)

    async def runs(self) -> list[UUID]:
        """Runs that have a folder."""
        return await asyncio.to_thread(self._runs)

    def _runs(self) -> list[UUID]:
        names = [f.name for f in self._folder.iterdir()] if self._folder.is_dir() else []
        return [UUID(name) for name in names if _OURS.fullmatch(name)]


class ModelFile:
    """A model as its parts arrive; `discard` after anything but `finish` leaves nothing."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._aside = folder / f"{uuid4().hex}{_ASIDE}"
        self._hash = hashlib.sha256()
        self._size = 0
        self._file: BinaryIO | None = None

    async def write(self, data: bytes) -> None:
        """Raises TooLarge, and DiskFull."""
        self._size += len(data)
        if self._size > MAX_BYTES:
            raise TooLarge(f"A model may have {MAX_BYTES} bytes, and this one has more.")
        self._hash.update(data)
        with disk_full_is_told(self._folder):
            await in_thread(self._append, data)

    async def finish(self) -> str:
        """Its SHA-256, once the file is there to stay."""
        with disk_full_is_told(self._folder):
            await in_thread(self._keep)
        return self._hash.hexdigest()

    async def discard(self) -> None:
        await in_thread(self._drop)

    def _append(self, data: bytes) -> None:
        if self._file is None:
            self._folder.mkdir(parents=True, exist_ok=True)
            self._file = self._aside.open("wb")
        self._file.write(data)

    def _keep(self) -> None:
        self._append(b"")
        assert self._file is not None
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        self._aside.replace(self._folder / f"{self._hash.hexdigest()}.ubj")
        folder = os.open(self._folder, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def _drop(self) -> None:
        if self._file is not None:
            self._file.close()
        self._aside.unlink(missing_ok=True)
