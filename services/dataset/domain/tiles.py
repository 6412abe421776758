"""Many rows summed up in few, for charts: candles of bars, the reach of lines.

Buckets have equally many rows. Rows come in batches of any size; what is kept
between two batches is the bucket that is not full yet. Null and NaN count for
nothing: a bucket that has only these is null.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple, TypeAlias

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

Values: TypeAlias = NDArray[Any]
ROWS: Final = "rows"


class Edges(NamedTuple):
    """Where buckets start and end within a batch; the first may have begun before it."""

    starts: NDArray[np.int64]
    ends: NDArray[np.int64]


class Measure(NamedTuple):
    """A column of the answer: one value a bucket, and of two parts of a bucket one."""

    name: str
    column: str
    of: Callable[[Values, Edges], Values]
    both: Callable[[Values, Values], Values]


def first(name: str, column: str) -> Measure:
    return Measure(name, column, lambda values, edges: values[edges.starts], lambda a, b: a)


def last(name: str, column: str) -> Measure:
    return Measure(name, column, lambda values, edges: values[edges.ends - 1], lambda a, b: b)


def least(name: str, column: str) -> Measure:
    return Measure(name, column, lambda v, edges: np.fmin.reduceat(v, edges.starts), np.fmin)


def most(name: str, column: str) -> Measure:
    return Measure(name, column, lambda v, edges: np.fmax.reduceat(v, edges.starts), np.fmax)


def total(name: str, column: str) -> Measure:
    return Measure(name, column, _sums, _sum_of_both)


def _sums(values: Values, edges: Edges) -> Values:
    known = ~np.isnan(values)
    sums = np.add.reduceat(np.where(known, values, 0.0), edges.starts)
    return np.where(np.logical_or.reduceat(known, edges.starts), sums, np.nan)


def _sum_of_both(a: Values, b: Values) -> Values:
    return np.where(np.isnan(a), b, np.where(np.isnan(b), a, a + b))


class Buckets:
    """At most `buckets` of `rows` rows: as many rows in each, but for the last."""

    def __init__(self, measures: Sequence[Measure], *, rows: int, buckets: int) -> None:
        self._measures = measures
        self._size = max(1, -(-rows // buckets))
        self._open_rows = 0
        self._open: dict[str, Values] = {}

    def add(self, batch: pa.RecordBatch) -> dict[str, Values]:
        """The measures of the buckets that are full now, and their `rows`."""
        if not batch.num_rows:
            return {}
        edges = self._edges(batch.num_rows)
        counts = edges.ends - edges.starts
        counts[0] += self._open_rows
        values = {m.column: _numpy(batch.column(m.column)) for m in self._measures}
        found = {ROWS: counts}
        for measure in self._measures:
            found[measure.name] = measure.of(values[measure.column], edges)
            if self._open:
                head = found[measure.name][:1]
                head[:] = measure.both(self._open[measure.name], head)
        full = len(counts) if counts[-1] == self._size else len(counts) - 1
        self._open_rows = 0 if full == len(counts) else int(counts[-1])
        self._open = {name: column[full:].copy() for name, column in found.items()}
        if not self._open_rows:
            self._open = {}
        return {name: column[:full] for name, column in found.items()}

    def finish(self) -> dict[str, Values]:
        """The last bucket, when it is not full; empty otherwise."""
        return self._open

    def _edges(self, rows: int) -> Edges:
        inner = np.arange(self._size - self._open_rows, rows, self._size)
        starts = np.concatenate(([0], inner))
        return Edges(starts, np.append(inner, rows))


def _numpy(column: pa.Array) -> Values:
    values: Values = column.to_numpy(zero_copy_only=False)
    return values
