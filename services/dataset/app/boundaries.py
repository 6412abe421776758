"""Indices to times and back, reading no more of a time column than is needed for that."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from services.dataset.domain.times import Times
from services.shared.series import Rows

BLOCK_ROWS: Final = 65_536

TimesOf: TypeAlias = Callable[[Rows], Awaitable[Times]]
"""The times of rows that are all there."""


async def times_at(times_of: TimesOf, indices: NDArray[np.int64]) -> Times:
    """Reads, of each block of rows that is asked for, the stretch that is."""
    found = np.empty(len(indices), dtype=np.int64)
    blocks = indices // BLOCK_ROWS
    for block in np.unique(blocks):
        here = blocks == block
        start, end = int(indices[here].min()), int(indices[here].max()) + 1
        found[here] = (await times_of(Rows(start, end)))[indices[here] - start]
    return found


async def lower_bounds(times_of: TimesOf, asked: Times, rows: int) -> NDArray[np.int64]:
    """For each time the first row that is not earlier; `rows` when there is none.

    Halves the table until a block is left: reads one row a step, and never more
    steps than the table has blocks.
    """
    order = np.argsort(asked, kind="stable")
    ordered = asked[order]
    found = np.empty(len(asked), dtype=np.int64)
    waiting = [(0, rows, 0, len(asked))]  # rows [low, high], asked for by points [a, b)
    while waiting:
        low, high, a, b = waiting.pop()
        if a == b:
            continue
        if high - low <= BLOCK_ROWS:
            times = await times_of(Rows(low, high)) if low < high else np.empty(0, np.int64)
            found[order[a:b]] = low + np.searchsorted(times, ordered[a:b], side="left")
            continue
        middle = (low + high) // 2
        time = (await times_of(Rows(middle, middle + 1)))[0]
        # Up to the time of a row the answer is that row or one before it.
        cut = a + int(np.searchsorted(ordered[a:b], time, side="right"))
        waiting += [(low, middle, a, cut), (middle + 1, high, cut, b)]
    return found
