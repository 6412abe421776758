"""Pearson's correlation of columns with columns, over rows that come in batches.

Sums of products are exact enough only for values of mean 0 and deviation 1: the rows are gone
through for the largest value, the mean, the deviation and the products, one after the other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

Matrix = NDArray[np.float64]
Batches = Callable[[], Iterator[pl.DataFrame]]


def correlations(batches: Batches, left: Sequence[str], right: Sequence[str]) -> Matrix:
    """Of each column of `left` with each of `right`, over the rows where both have a value.

    NaN where fewer than three such rows are there or one side does not vary. `batches` gives
    the same rows every time it is called.
    """
    sides = _Sides(_centre(batches, left), _centre(batches, right))
    sums = np.zeros((6, len(left), len(right)))
    for frame in batches():
        sums += sides.products(frame.select(left), frame.select(right))
    n, x_sum, y_sum, xx, yy, xy = sums
    with np.errstate(invalid="ignore", divide="ignore"):
        x_var, y_var = xx - x_sum * x_sum / n, yy - y_sum * y_sum / n
        found: Matrix = (xy - x_sum * y_sum / n) / np.sqrt(x_var * y_var)
    varies = (x_var > 1e-12 * n) & (y_var > 1e-12 * n)
    return np.where((n > 2) & varies, found, np.nan)


@dataclass(frozen=True, kw_only=True)
class _Centre:
    """Of each column: `scale` keeps squares finite, mean and deviation are of what is scaled."""

    scale: Matrix
    mean: Matrix
    deviation: Matrix

    def of(self, frame: pl.DataFrame) -> tuple[Matrix, Matrix]:
        """Values of mean 0 and deviation 1, 0 where there is none, and where there is one."""
        values = frame.to_numpy()
        here = np.isfinite(values)
        centred = np.where(here, (values / self.scale - self.mean) / self.deviation, 0)
        return centred, here.astype(np.float64)


def _centre(batches: Batches, names: Sequence[str]) -> _Centre:
    largest = np.zeros(len(names))
    for frame in batches():
        values = np.abs(frame.select(names).to_numpy())
        largest = np.maximum(largest, np.max(values, axis=0, where=np.isfinite(values), initial=0))
    scale = np.where(largest > 0, largest, 1)
    count = np.zeros(len(names))
    total = np.zeros(len(names))
    for frame in batches():
        values = frame.select(names).to_numpy() / scale
        here = np.isfinite(values)
        count += here.sum(axis=0)
        total += values.sum(axis=0, where=here)
    mean = total / np.maximum(count, 1)
    squares = np.zeros(len(names))
    for frame in batches():
        values = frame.select(names).to_numpy() / scale - mean
        squares += np.square(values).sum(axis=0, where=np.isfinite(values))
    deviation = np.sqrt(squares / np.maximum(count, 1))
    # What is left of a constant after rounding is no variation.
    deviation = np.where(deviation > 1e-13, deviation, np.inf)
    return _Centre(scale=scale, mean=mean, deviation=deviation)


@dataclass(frozen=True)
class _Sides:
    left: _Centre
    right: _Centre

    def products(self, left: pl.DataFrame, right: pl.DataFrame) -> Matrix:
        """Of a batch: n, x, y, x², y² and xy, summed over the rows where both are there."""
        (x, x_here), (y, y_here) = self.left.of(left), self.right.of(right)
        if x_here.all() and y_here.all():
            shape = (x.shape[1], y.shape[1])
            sums = (x.sum(0)[:, None], y.sum(0), np.square(x).sum(0)[:, None], np.square(y).sum(0))
            x_sum, y_sum, xx, yy = (np.broadcast_to(one, shape) for one in sums)
            return np.stack([np.full(shape, float(len(x))), x_sum, y_sum, xx, yy, x.T @ y])
        return np.stack(
            [
                x_here.T @ y_here,
                x.T @ y_here,
                x_here.T @ y,
                np.square(x).T @ y_here,
                x_here.T @ np.square(y),
                x.T @ y,
            ]
        )
