"""Rows put aside on disk: written batch by batch, then mapped, so that they cost no memory."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pyarrow as pa

from services.shared.series.disk import WRITE_BYTES, SmallWrites, disk_full_is_told

_ROWS: Final = 65_536  # fewer would cost memory: each column of each batch is an array


class Aside:
    """One table of rows in a file, which may lose its name once it is mapped."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: pa.BufferedOutputStream | None = None
        self._writer: pa.RecordBatchFileWriter | None = None

    def write(self, rows: pa.Table) -> None:
        with disk_full_is_told(self._path.parent):
            if self._writer is None:
                file = pa.PythonFile(SmallWrites(self._path), "w")
                self._file = pa.BufferedOutputStream(file, WRITE_BYTES)
                self._writer = pa.ipc.new_file(self._file, rows.schema)
            self._writer.write_table(rows, max_chunksize=_ROWS)

    def mapped(self) -> pa.Table:
        """Of at least one write."""
        assert self._file is not None
        assert self._writer is not None
        with disk_full_is_told(self._path.parent):
            self._writer.close()
            self._file.close()
        return pa.ipc.open_file(pa.memory_map(str(self._path))).read_all()
