"""Uploads on their way in: files on disk, so that no upload lives in memory."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import UUID

from services.shared.errors import InvalidRequest, TooLarge, Violation
from services.shared.series.disk import SmallWrites, disk_full_is_told
from services.shared.threads import in_thread


class UploadTooLarge(TooLarge):
    reason = "UPLOAD_TOO_LARGE"


class Spool:
    """One folder for each upload under way, gone when its block ends."""

    def __init__(self, folder: Path, max_bytes: int) -> None:
        self._folder = folder
        self.max_bytes = max_bytes

    def clear(self) -> None:
        """At start, before there are uploads: what is here belongs to none."""
        shutil.rmtree(self._folder, ignore_errors=True)
        self._folder.mkdir(parents=True)

    @asynccontextmanager
    async def upload(
        self, upload_id: UUID, parts: int, *, hashed: bool = False
    ) -> AsyncIterator[Upload]:
        folder = self._folder / upload_id.hex
        with disk_full_is_told(self._folder):
            folder.mkdir(parents=True)
        paths = [folder / f"part_{i}" for i in range(parts)]
        upload = Upload(paths, self.max_bytes, hashed=hashed)
        try:
            yield upload
        finally:
            upload.close()
            await in_thread(shutil.rmtree, folder, ignore_errors=True)


class Upload:
    """The parts come one after another; each is hashed as it is written, where that is wanted."""

    def __init__(self, paths: list[Path], max_bytes: int, *, hashed: bool = False) -> None:
        self.paths = paths
        self._left = max_bytes
        self._max_bytes = max_bytes
        self._sha256s = [hashlib.sha256() for _ in paths] if hashed else []
        self._part = -1
        self._file: SmallWrites | None = None

    async def write(self, part: int, data: bytes) -> None:
        self._check(part, len(data))
        await in_thread(self._append, part, data)

    def _check(self, part: int, size: int) -> None:
        if not max(self._part, 0) <= part < len(self.paths):
            rule = f"after part {self._part} of {len(self.paths)}"
            raise InvalidRequest([Violation("bytes.part", f"is {part}, {rule}")])
        self._left -= size
        if self._left < 0:
            raise UploadTooLarge(f"The upload is over its limit of {self._max_bytes} bytes.")

    def _append(self, part: int, data: bytes) -> None:
        with disk_full_is_told(self.paths[part].parent):
            if part != self._part:
                self.close()
                self._part, self._file = part, SmallWrites(self.paths[part])
            assert self._file is not None
            self._file.write(data)
        if self._sha256s:
            self._sha256s[part].update(data)

    def sha256(self, header_sha256: str) -> str:
        """Of all that was uploaded and what was asked of it, however it was cut; for those that
        are hashed."""
        assert self._sha256s
        whole = hashlib.sha256(bytes.fromhex(header_sha256))
        for part in self._sha256s:
            whole.update(part.digest())
        return whole.hexdigest()

    def missing(self) -> list[int]:
        """Parts of which nothing came."""
        return [i for i, path in enumerate(self.paths) if not path.exists()]

    def remove(self) -> None:
        """Of what is read: its pages in memory are at hand for what is written next."""
        self.close()
        for path in self.paths:
            path.unlink(missing_ok=True)  # a recovery elsewhere may have been there

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
