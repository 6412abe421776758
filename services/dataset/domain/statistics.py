"""Figures of one column, whose rows come in blocks; null and NaN are counted and no more.

Up to SAMPLE values a column is kept, and everything is exact. Of a longer one
every n-th row is kept for the quantiles, and its histogram needs the rows a
second time, when least and greatest are known.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

Numbers: TypeAlias = NDArray[np.float64]
Counts: TypeAlias = NDArray[np.int64]

SAMPLE: Final = 1_000_000
QUANTILES: Final = (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99)
MAX_DISTINCT: Final = 1000


@dataclass(frozen=True, kw_only=True)
class Statistics:
    """`std` is that of a sample; None where values are missing or their sums overflow."""

    rows: int
    null_count: int
    min: float | None = None
    max: float | None = None
    mean: float | None = None
    std: float | None = None
    quantiles: tuple[float, ...] = ()
    histogram_edges: tuple[float, ...] = ()
    histogram_counts: tuple[int, ...] = ()
    distinct: int | None = None


class NumberColumn:
    def __init__(self, *, rows: int, bins: int, sample: int = SAMPLE) -> None:
        self._bins = bins
        self._step = max(1, -(-rows // sample))
        self._kept: list[Numbers] = []
        self._rows = 0
        self._known = 0
        self._mean = 0.0
        self._squares = 0.0  # of the distances from the mean
        self._least, self._greatest = np.inf, -np.inf
        self._counts: Counts = np.zeros(0, np.int64)

    @property
    def needs_a_second_look(self) -> bool:
        return self._step > 1 and self._known > 0

    def add(self, column: pa.Array) -> None:
        values = _numpy(column)
        self._kept.append(values[-self._rows % self._step :: self._step])
        self._rows += len(values)
        known = values[~np.isnan(values)]
        if len(known):
            self._least = min(self._least, float(known.min()))
            self._greatest = max(self._greatest, float(known.max()))
            self._join(known)

    def _join(self, known: Numbers) -> None:
        """Means and squares of two parts put together (Chan, Golub and LeVeque 1979)."""
        with np.errstate(over="ignore", invalid="ignore"):
            mean = known.mean()
            squares = np.square(known - mean).sum()
            total = self._known + len(known)
            delta = mean - self._mean
            self._squares += squares + delta * delta * (self._known / total * len(known))
            self._mean += delta * (len(known) / total)
        self._known = total

    def look_again(self, column: pa.Array) -> None:
        values = _numpy(column)
        found = _binned(np.sort(values[~np.isnan(values)]), self._edges())
        self._counts = found if not len(self._counts) else self._counts + found

    def finish(self) -> Statistics:
        nulls = self._rows - self._known
        if not self._known:
            return Statistics(rows=self._rows, null_count=nulls)
        kept = np.concatenate(self._kept)
        kept = np.sort(kept[~np.isnan(kept)])
        edges = self._edges()
        counts = self._counts if self.needs_a_second_look else _binned(kept, edges)
        return Statistics(
            rows=self._rows,
            null_count=nulls,
            min=self._least,
            max=self._greatest,
            mean=_finite(self._mean),
            std=_finite((self._squares / (self._known - 1)) ** 0.5) if self._known > 1 else None,
            quantiles=_quantiles(kept),
            histogram_edges=tuple(edges.tolist()),
            histogram_counts=tuple(counts.tolist()),
        )

    def _edges(self) -> Numbers:
        """One bin where all values are the same."""
        if self._least == self._greatest:
            return np.array([self._least, self._greatest])
        parts = np.arange(self._bins + 1) / self._bins
        edges = self._least * (1 - parts) + self._greatest * parts  # their distance may overflow
        edges[0], edges[-1] = self._least, self._greatest
        return np.maximum.accumulate(edges)


def _binned(ordered: Numbers, edges: Numbers) -> Counts:
    """Each bin without its right edge, but for the last."""
    below = np.searchsorted(ordered, edges, side="left")
    below[-1] = len(ordered)
    return np.diff(below)


def _quantiles(ordered: Numbers) -> tuple[float, ...]:
    """Linearly interpolated, as numpy does; empty of a sample that has no values."""
    if not len(ordered):
        return ()
    places = np.array(QUANTILES) * (len(ordered) - 1)
    low = places.astype(np.int64)
    part = places - low
    high = np.minimum(low + 1, len(ordered) - 1)
    return tuple((ordered[low] * (1 - part) + ordered[high] * part).tolist())


def _finite(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def _numpy(column: pa.Array) -> NDArray[Any]:
    values: NDArray[Any] = column.to_numpy(zero_copy_only=False)
    return values


class TextColumn:
    needs_a_second_look = False

    def __init__(self) -> None:
        self._rows = 0
        self._nulls = 0
        self._texts: set[str] = set()

    def add(self, column: pa.Array) -> None:
        self._rows += len(column)
        self._nulls += column.null_count
        if len(self._texts) < MAX_DISTINCT:
            self._texts.update(pc.unique(column.drop_null()).slice(0, MAX_DISTINCT).to_pylist())

    def look_again(self, column: pa.Array) -> None:
        raise AssertionError("Texts are counted in one go.")

    def finish(self) -> Statistics:
        distinct = min(len(self._texts), MAX_DISTINCT)
        return Statistics(rows=self._rows, null_count=self._nulls, distinct=distinct)
