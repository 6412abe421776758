"""A new segment on its way to the disk, aside until its owner gives it its name."""

from __future__ import annotations

import os
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Final

import pyarrow as pa

from services.shared.arrow_stream import CHUNK_BYTES, size_of
from services.shared.series.disk import SmallWrites

_SYNC_BYTES: Final = 32 << 20
"""After so many the disk begins to take what was written, while the next rows come."""


class SegmentWriter:
    """Makes a file that is not there yet; `finish` makes it durable.

    Every method blocks on the disk. Raises FileExistsError for a path that is taken.
    """

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        path.touch(exist_ok=False)
        self.path = path
        self._file = SmallWrites(path)
        self._buffered = pa.BufferedOutputStream(pa.PythonFile(self._file, "w"), CHUNK_BYTES)
        self._unsynced_bytes = 0
        self._sync_under_way: Future[None] | None = None
        try:
            self._writer = pa.ipc.new_file(self._buffered, schema)
        except BaseException:
            self.discard()
            raise

    def write(self, batch: pa.RecordBatch) -> None:
        """Cut into even parts of at most about 1 MiB."""
        parts = max(1, -(-size_of(batch) // CHUNK_BYTES))
        rows = -(-batch.num_rows // parts)
        for start in range(0, batch.num_rows, rows):
            self._writer.write_batch(batch.slice(start, rows))
        self._unsynced_bytes += size_of(batch)
        if self._unsynced_bytes >= _SYNC_BYTES:
            self._wait_for_sync()
            self._sync_under_way = _sync_threads().submit(os.fdatasync, self._file.fileno())
            self._unsynced_bytes = 0

    def _wait_for_sync(self) -> None:
        """Raises what the disk said: it says so once."""
        if self._sync_under_way is not None:
            self._sync_under_way.result()
            self._sync_under_way = None

    def finish(self) -> None:
        self._writer.close()
        self._buffered.flush()
        self._wait_for_sync()
        os.fsync(self._file.fileno())
        self._buffered.close()

    def discard(self) -> None:
        """Of a finished one too; what has its name by now stays, since it has another path."""
        with suppress(OSError):
            self._wait_for_sync()
        with suppress(OSError):  # what is still buffered does not fit on a full disk either
            self._buffered.close()
        self.path.unlink(missing_ok=True)


@cache
def _sync_threads() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(2, thread_name_prefix="sync")
