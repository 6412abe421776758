"""Rows put aside on disk: written batch by batch, then mapped, so that they cost no memory."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pyarrow as pa

from services.shared.series.disk import WRITE_BYTES, disk_full_is_told

_SMALL_ROWS: Final = WRITE_BYTES // 8  # a column of numbers is written at once
_SMALL_COLUMNS: Final = 16_384
"""So many are written like that: mapped, a column of a batch takes some 700 bytes of memory."""
_LARGE_ROWS: Final = 65_536


class Aside:
    """One table of rows in a file, which may lose its name once it is mapped."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._writer: pa.RecordBatchFileWriter | None = None
        self._columns = 0

    def write(self, rows: pa.Table) -> None:
        with disk_full_is_told(self._path.parent):
            if self._writer is None:
                self._writer = pa.ipc.new_file(self._path, rows.schema)
            size = _SMALL_ROWS if self._columns < _SMALL_COLUMNS else _LARGE_ROWS
            self._writer.write_table(rows, max_chunksize=size)
            self._columns += -(-rows.num_rows // size) * rows.num_columns

    def mapped(self) -> pa.Table:
        """Of at least one write."""
        assert self._writer is not None
        with disk_full_is_told(self._path.parent):
            self._writer.close()
        return pa.ipc.open_file(pa.memory_map(str(self._path))).read_all()
