"""Messages that are put together from columns where they lie, so that each byte is copied once.

The message of a batch is its metadata and then the buffers of its columns. For
columns of int64 and float64 without nulls the metadata depends on the number of
rows alone, and the buffers of several batches end to end are those of one.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import chain
from typing import Final, NamedTuple

import pyarrow as pa

from services.shared.arrow_stream.messages import read_layout

FIXED_BYTES: Final = 8
_FIXED: Final = (pa.int64(), pa.float64())


class ScatteredMessage(NamedTuple):
    """One whole IPC message of a record batch, in parts that lie where they are stored."""

    parts: Sequence[bytes | pa.Buffer]
    rows: int
    size: int


class Assembler:
    """Of one schema."""

    def __init__(self, schema: pa.Schema) -> None:
        self._schema = schema
        self._heads: dict[int, bytes] = {}
        self.is_possible = all(field.type in _FIXED for field in schema)

    def message(self, values: Iterable[Sequence[pa.Buffer]], rows: int) -> ScatteredMessage:
        """Of each batch, in order, the values of each column, which end to end are `rows` rows."""
        head = self._heads.get(rows)
        if head is None:
            head = self._heads[rows] = self._head(rows)
        parts = [head, *chain.from_iterable(zip(*values, strict=True))]
        return ScatteredMessage(parts, rows, len(head) + FIXED_BYTES * rows * len(self._schema))

    def _head(self, rows: int) -> bytes:
        """What pyarrow writes before the buffers of a batch of so many rows."""
        zeros = pa.py_buffer(bytes(FIXED_BYTES * rows))
        arrays = [pa.Array.from_buffers(f.type, rows, [None, zeros], 0) for f in self._schema]
        message = pa.RecordBatch.from_arrays(arrays, schema=self._schema).serialize()
        body = int(read_layout(memoryview(message)).offsets[0])
        return bytes(memoryview(message)[:body])
