"""How large slices may be: all readers of a store share the memory for them."""

from __future__ import annotations

from typing import Final

import pyarrow as pa

SLICE_BYTES: Final = 16 << 20
"""The server takes 12 ms for any answer, and 26 for this one: small slices cost speed."""
LEAST_SLICE_BYTES: Final = 2 << 20
READ_BYTES: Final = 72 << 20
"""Of slices in memory, all readers together; beyond that each has the least."""
DECODED_PARTS: Final = 4
"""A slice is decoded in so many, or else at once."""
_COPIES_AT_ONCE: Final = 2  # in chunks and combined, then combined and in order (measured: 2.0)
_FIRST_TEXTS: Final = 1000  # rows
_GROWTH: Final = 4
_BESIDE_ROWS: Final = 64 << 10  # bytes of an answer
_BESIDE_COLUMN: Final = 512


class ReadMemory:
    def __init__(self) -> None:
        self.free = READ_BYTES


class Claim:
    """Of one reader: for the slice in use with what is decoded of it, and the one on its way."""

    def __init__(self, memory: ReadMemory) -> None:
        self._memory = memory
        self._slice = 0
        self._claimed = 0

    def next_slice(self, *, is_decoded_at_once: bool = False) -> int:
        """Bytes of the slice to ask for, once the one before the last has gone.

        A third of what is free: so it can be decoded, and there is some for the next reader.
        """
        used = in_use(self._slice, is_decoded_at_once)
        self._claim(used)
        size = max(LEAST_SLICE_BYTES, min(SLICE_BYTES, self._memory.free // 3))
        self._claim(max(used + size, in_use(size, is_decoded_at_once)))
        self._slice = size
        return size

    def end(self) -> None:
        self._claim(0)

    def _claim(self, size: int) -> None:
        self._memory.free += self._claimed - size
        self._claimed = size


def in_use(size: int, is_decoded_at_once: bool) -> int:
    """A slice of so many bytes, and what is decoded of it."""
    return size + (_COPIES_AT_ONCE * size if is_decoded_at_once else size // DECODED_PARTS)


class Sizing:
    """How many rows the next slice has, by what the last ones were."""

    def __init__(
        self, claim: Claim, columns: pa.Schema, *, is_decoded_at_once: bool = False
    ) -> None:
        self._claim = claim
        self._is_decoded_at_once = is_decoded_at_once
        self._row_bytes = 1 + 65 * len(columns) // 8  # a value and whether it is null
        self._decoded_row_bytes = 0
        self._beside_bytes = _BESIDE_ROWS + _BESIDE_COLUMN * len(columns)
        self._has_texts = pa.string() in columns.types
        self._most = _FIRST_TEXTS
        self.rows = 0
        self.most_bytes: int | None = None
        """Of the answer; None where it cannot be longer than thought, or not be shorter."""

    def next(self) -> int:
        size = self._claim.next_slice(is_decoded_at_once=self._is_decoded_at_once)
        self.rows = self._rows_within(size)
        if self._has_texts:
            self.rows = min(self.rows, self._most)
            self.most_bytes = None if self.rows == 1 else 2 * size
        return self.rows

    def likely_bytes(self, rows: int) -> int:
        """Of an answer of so many rows."""
        return rows * self._row_bytes + self._beside_bytes

    def fitted(self, rows: int, size: int) -> None:
        self._most = self.rows * _GROWTH
        if rows and self._has_texts:
            self._row_bytes = max(1, size // rows)

    def did_not_fit(self) -> None:
        self._most = max(1, self.rows // _GROWTH)

    def decoded(self, batch: pa.RecordBatch) -> None:
        """Texts that repeat are once in the answer."""
        if self._has_texts and batch.num_rows:
            self._decoded_row_bytes = batch.nbytes // batch.num_rows

    def _rows_within(self, size: int) -> int:
        return max(1, size // max(self._row_bytes, self._decoded_row_bytes))
