"""How large slices may be: all readers of a store share the memory for them."""

from __future__ import annotations

from typing import Final

import pyarrow as pa

SLICE_BYTES: Final = 16 << 20
LEAST_SLICE_BYTES: Final = 1 << 20
READ_BYTES: Final = 128 << 20
"""Of slices in memory, all readers together; beyond that each has the least."""
_FIRST_TEXTS: Final = 1000  # rows
_GROWTH: Final = 4


class ReadMemory:
    def __init__(self) -> None:
        self.free = READ_BYTES


class Claim:
    """Of one reader: for the slice in use, and for the one on its way as answer and as rows."""

    def __init__(self, memory: ReadMemory) -> None:
        self._memory = memory
        self._slice = 0
        self._claimed = 0

    def next_slice(self) -> int:
        """Bytes of the slice to ask for, once the one before the last has gone.

        A quarter of what is free, twice: so there is always some for the next reader.
        """
        self._claim(self._slice)
        size = max(LEAST_SLICE_BYTES, min(SLICE_BYTES, self._memory.free // 4))
        self._claim(self._slice + 2 * size)
        self._slice = size
        return size

    def end(self) -> None:
        self._claim(0)

    def _claim(self, size: int) -> None:
        self._memory.free += self._claimed - size
        self._claimed = size


class Sizing:
    """How many rows the next slice has, by what the last one was."""

    def __init__(self, claim: Claim, columns: pa.Schema) -> None:
        self._claim = claim
        self._row_bytes = 1 + 65 * len(columns) // 8  # a value and whether it is null
        self._has_texts = pa.string() in columns.types
        self._most = _FIRST_TEXTS
        self.rows = 0
        self.most_bytes: int | None = None
        """Of the answer; None where it cannot be longer than thought, or not be shorter."""

    def next(self) -> int:
        size = self._claim.next_slice()
        self.rows = max(1, size // self._row_bytes)
        if self._has_texts:
            self.rows = min(self.rows, self._most)
            self.most_bytes = None if self.rows == 1 else 2 * size
        return self.rows

    def fitted(self, found: pa.Table) -> None:
        self._most = self.rows * _GROWTH
        if found.num_rows:
            self._row_bytes = max(1, found.nbytes // found.num_rows)

    def did_not_fit(self) -> None:
        self._most = max(1, self.rows // _GROWTH)
