"""Rows with the last one first, a block at a time."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import Final, TypeAlias

import numpy as np
import pyarrow as pa

from services.shared.series import Rows
from services.shared.threads import in_thread

BLOCK_BYTES: Final = 4 << 20
_VALUE_BYTES: Final = 8

RowsOf: TypeAlias = Callable[[Rows], AsyncGenerator[pa.RecordBatch]]
"""The batches of a stretch of rows, in order."""


async def descending(rows_of: RowsOf, rows: Rows, columns: int) -> AsyncGenerator[pa.RecordBatch]:
    size = max(1, BLOCK_BYTES // (_VALUE_BYTES * columns))
    for end in range(rows.end, rows.start, -size):
        async with aclosing(rows_of(Rows(max(rows.start, end - size), end))) as batches:
            block = [batch async for batch in batches]
        while block:
            yield await in_thread(_backwards, block.pop())


def _backwards(batch: pa.RecordBatch) -> pa.RecordBatch:
    return batch.take(pa.array(np.arange(batch.num_rows - 1, -1, -1)))
