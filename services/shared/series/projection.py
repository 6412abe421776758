"""Some columns of a stored message, found without reading the others."""

from __future__ import annotations

import mmap
from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
import pyarrow as pa

from services.shared.arrow_stream.messages import Layout, metadata_end, read_layout
from services.shared.arrow_stream.scattered import FIXED_BYTES
from services.shared.series.pages import Reach

_MOST_KNOWN: Final = 16  # batches of one table have few sizes
_MOSTLY_ENOUGH: Final = 2048  # bytes of a message to know where its columns lie


class Projection:
    """Some columns of a stored schema, in an order of their own."""

    def __init__(self, stored: pa.Schema, names: Sequence[str]) -> None:
        counts = [field.type.num_buffers for field in stored]
        self.columns = np.array([stored.get_field_index(name) for name in names])
        self.schema = pa.schema([stored.field(name) for name in names])
        self.buffers = np.cumsum([0, *counts])[self.columns]
        """The first of each column, which is its validity."""
        self.extra = np.array(counts)[self.columns] - 1
        breaks = np.flatnonzero(np.diff(self.columns) != 1).tolist()
        firsts, lasts = [0, *(i + 1 for i in breaks)], [*breaks, len(names) - 1]
        self.stretches = list(zip(firsts, lasts, strict=True))
        """First and last place of columns that lie beside each other."""
        self._types = [field.type for field in self.schema]
        self._known: dict[int, _Known] = {}
        """By the size of messages: those of one size mostly lie in the same way."""

    def batch(self, ipc: pa.Buffer, reach: Reach) -> pa.RecordBatch:
        """Of one message, in place."""
        layout = _layout(ipc, reach)
        for first, last in self.stretches:
            numbers = self.buffers[first], self.buffers[last] + self.extra[last]
            begin, end = layout.offsets[list(numbers)].tolist()
            reach(ipc.slice(begin, end + int(layout.lengths[numbers[1]]) - begin))
        return pa.RecordBatch.from_arrays(self._arrays(ipc, layout), schema=self.schema)

    def values(self, ipc: pa.Buffer, start: int, stop: int, reach: Reach) -> list[pa.Buffer] | None:
        """Of columns of eight bytes a row where they lie; None when there are nulls."""
        rows = stop - start
        known = self._known.get(ipc.size)
        if known is None or not known.is_of(ipc, rows, reach):
            known = self._learn(ipc, rows, reach)
        if known.has_nulls:
            return None
        skipped, size = FIXED_BYTES * start, FIXED_BYTES * rows
        for first, last in known.apart(rows):
            reach(ipc.slice(first + skipped, last - first + size))
        part = ipc.slice
        return [part(begin + skipped, size) for begin in known.begins]

    def _learn(self, ipc: pa.Buffer, rows: int, reach: Reach) -> _Known:
        layout = _layout(ipc, reach)
        metadata = bytes(memoryview(ipc)[: metadata_end(memoryview(ipc))])
        begins = layout.offsets[self.buffers + 1].tolist()
        stretches = [(begins[first], begins[last]) for first, last in self.stretches]
        has_nulls = bool(layout.null_counts[self.columns].any())
        first, last = stretches[0]
        is_beside = not has_nulls and first - len(metadata) < mmap.PAGESIZE
        known = _Known(
            metadata=metadata,
            rows=layout.rows,
            begins=begins,
            stretches=stretches,
            beside=last + FIXED_BYTES * layout.rows if is_beside else len(metadata),
            has_nulls=has_nulls,
        )
        reach(ipc.slice(0, known.at_once(rows)))
        if len(self._known) == _MOST_KNOWN:
            self._known.clear()
        self._known[ipc.size] = known
        return known

    def _arrays(self, ipc: pa.Buffer, layout: Layout) -> list[pa.Array]:
        offsets, lengths = layout.offsets.tolist(), layout.lengths.tolist()
        nulls = layout.null_counts[self.columns].tolist()
        columns = zip(self._types, self.buffers.tolist(), self.extra.tolist(), nulls, strict=True)
        found = []
        for kind, first, extra, missing in columns:
            numbers = range(first, first + extra + 1)
            buffers = [ipc.slice(offsets[number], lengths[number]) for number in numbers]
            if not missing:
                buffers[0] = None
            found.append(pa.Array.from_buffers(kind, layout.rows, buffers, missing))
        return found


class _Known(NamedTuple):
    """Where values lie in a message."""

    metadata: bytes
    rows: int
    begins: list[int]
    """Of each column."""
    stretches: list[tuple[int, int]]
    """Where the first and the last column begin of those that lie beside each other."""
    beside: int
    """The end of the first stretch where it lies beside the metadata, else of the metadata."""
    has_nulls: bool

    def at_once(self, rows: int) -> int:
        """Bytes to ask for at once, but for few rows: a question costs more than many pages."""
        return self.beside if 8 * rows >= self.rows else len(self.metadata)

    def apart(self, rows: int) -> list[tuple[int, int]]:
        """The stretches that are not among these bytes."""
        return self.stretches[self.at_once(rows) > len(self.metadata) :]

    def is_of(self, ipc: pa.Buffer, rows: int, reach: Reach) -> bool:
        """Whether this message of the same size lies in the same way."""
        reach(ipc.slice(0, self.at_once(rows)))
        return bool(ipc.slice(0, len(self.metadata)).to_pybytes() == self.metadata)


def _layout(ipc: pa.Buffer, reach: Reach) -> Layout:
    view = memoryview(ipc)
    reach(ipc.slice(0, min(_MOSTLY_ENOUGH, ipc.size)))
    end = metadata_end(view)
    if end > _MOSTLY_ENOUGH:
        reach(ipc.slice(0, end))
    return read_layout(view)
