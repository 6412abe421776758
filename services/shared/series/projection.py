"""Some columns of a stored message, found without reading the others."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
import pyarrow as pa

from services.shared.arrow_stream.messages import Layout, metadata_end, read_layout
from services.shared.arrow_stream.scattered import FIXED_BYTES
from services.shared.series.pages import Reach

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
        self._values: tuple[Layout, _Values | None] | None = None

    def batch(self, ipc: pa.Buffer, reach: Reach) -> pa.RecordBatch:
        """Of one message, in place."""
        layout = _layout(ipc, reach)
        for first, last in self.stretches:
            numbers = self.buffers[first], self.buffers[last] + self.extra[last]
            begin, end = layout.offsets[list(numbers)].tolist()
            reach(ipc.slice(begin, end + int(layout.lengths[numbers[1]]) - begin))
        return pa.RecordBatch.from_arrays(self._arrays(ipc, layout), schema=self.schema)

    def values(self, ipc: pa.Buffer, start: int, stop: int, reach: Reach) -> list[pa.Buffer] | None:
        known = self._values_of(_layout(ipc, reach))
        if known is None:
            return None
        skipped, size = FIXED_BYTES * start, FIXED_BYTES * (stop - start)
        for first, last in known.stretches:
            reach(ipc.slice(first + skipped, last - first + size))
        return [ipc.slice(begin + skipped, size) for begin in known.begins]

    def _values_of(self, layout: Layout) -> _Values | None:
        """Messages of one table mostly lie in the same way, so the last is kept."""
        if self._values is None or self._values[0] is not layout:
            begins = layout.offsets[self.buffers + 1].tolist()
            stretches = [(begins[first], begins[last]) for first, last in self.stretches]
            has_nulls = layout.null_counts[self.columns].any()
            self._values = layout, None if has_nulls else _Values(begins, stretches)
        return self._values[1]

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


class _Values(NamedTuple):
    """Where the values of columns begin in a message, and of stretches the first and the last."""

    begins: list[int]
    stretches: list[tuple[int, int]]


def _layout(ipc: pa.Buffer, reach: Reach) -> Layout:
    view = memoryview(ipc)
    reach(ipc.slice(0, min(_MOSTLY_ENOUGH, ipc.size)))
    end = metadata_end(view)
    if end > _MOSTLY_ENOUGH:
        reach(ipc.slice(0, end))
    return read_layout(view)
