"""Rows of overlapping segments in the order of their key, one row for each key.

Segments are walked side by side through windows of time: at most WINDOW_ROWS of
each that overlaps are in memory, whatever the length of the table.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from services.shared.series.segment import OpenSegment

WINDOW_ROWS: Final = 65_536


class _Part:
    """What is left to read of one segment; `order` says which of two equal keys counts."""

    def __init__(self, source: OpenSegment, start: int, stop: int, order: int) -> None:
        self.source = source
        self.next = start
        self.stop = stop
        self.order = order
        self.first_ms = source.time_at(start)

    def edge(self, rows: int) -> int:
        """A time before which lie at most this many rows, but for rows at one time."""
        return self.source.time_at(min(self.next + rows, self.stop) - 1) + 1

    def take(self, edge: int) -> list[pa.RecordBatch]:
        start, self.next = self.next, min(self.source.lower_bound(edge), self.stop)
        return self.source.slices(start, self.next)


def in_key_order(
    sources: Sequence[tuple[OpenSegment, int, int]],
    key: Sequence[str],
    window_rows: int = WINDOW_ROWS,
) -> Iterator[pa.RecordBatch]:
    """Sources are (segment, first row, end), in the order in which they were written."""
    parts = [_Part(*source, order) for order, source in enumerate(sources) if source[1] < source[2]]
    waiting = sorted(parts, key=lambda part: part.first_ms, reverse=True)
    active: list[_Part] = []
    while active or waiting:
        edge = min((part.edge(window_rows) for part in active), default=None)
        while waiting and (edge is None or waiting[-1].first_ms < edge):
            active.append(waiting.pop())
            new_edge = active[-1].edge(window_rows)
            edge = new_edge if edge is None else min(edge, new_edge)
        assert edge is not None
        active.sort(key=lambda part: part.order)
        yield from _one_order([part.take(edge) for part in active], key)
        active = [part for part in active if part.next < part.stop]


def _one_order(
    taken: Sequence[Sequence[pa.RecordBatch]], key: Sequence[str]
) -> Iterator[pa.RecordBatch]:
    filled = [batches for batches in taken if batches]
    if len(filled) == 1:  # a segment is in order by itself
        yield from filled[0]
    elif filled:
        yield last_of_each_key(pa.concat_batches([b for batches in filled for b in batches]), key)


def last_of_each_key(batch: pa.RecordBatch, key: Sequence[str]) -> pa.RecordBatch:
    """In the order of the key; of equal keys the row that came last."""
    columns = [batch.column(name).to_numpy() for name in key]
    order = np.lexsort(columns[::-1])  # stable
    is_last = np.ones(len(order), np.bool_)
    if len(order):
        is_last[:-1] = _differs([column[order] for column in columns])
    return batch.take(pa.array(order[is_last]))


def _differs(columns: Sequence[NDArray[np.int64]]) -> NDArray[np.bool_]:
    """Whether each row's key is another than the next row's."""
    differs = np.zeros(max(len(columns[0]) - 1, 0), np.bool_)
    for column in columns:
        differs |= column[1:] != column[:-1]
    return differs
