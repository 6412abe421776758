"""What QuestDB answers as rows of ours: milliseconds, nulls only where they may be, in order."""

from __future__ import annotations

from math import ceil
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from services.shared.arrow_stream import CHUNK_BYTES
from services.shared.errors import DataLoss
from services.shared.series import TIME

_US: Final = 1000


def parts(batch: pa.RecordBatch) -> list[pa.RecordBatch]:
    """Of at most CHUNK_BYTES, where rows are alike; bitmaps are cut at whole bytes."""
    most = max(8, batch.num_rows * CHUNK_BYTES // max(1, batch.nbytes) // 8 * 8)
    count = max(1, ceil(batch.num_rows / most))
    rows = max(8, ceil(batch.num_rows / (8 * count)) * 8)
    return [batch.slice(start, rows) for start in range(0, batch.num_rows, rows)]


def in_key_order(found: pa.RecordBatch, key: list[str]) -> pa.RecordBatch:
    values = [found.column(name).to_numpy() for name in key]
    if not np.any(np.diff(values[0].view("i8")) <= 0):
        return found
    order = np.lexsort(values[::-1])
    return found.take(pa.array(order))


def column_of(values: pa.Array, field: pa.Field) -> pa.Array:
    if field.name == TIME:
        return _milliseconds(values)
    if values.type != field.type:
        values = values.cast(field.type)
    if values.null_count and not field.nullable:
        if field.type != pa.float64():
            raise DataLoss(f"Column {field.name!r} has nulls in QuestDB where none were written.")
        values = pc.fill_null(values, float("nan"))
    return values


def _milliseconds(values: pa.Array) -> pa.Array:
    whole = values.view(pa.int64()).to_numpy()
    times = whole // _US
    if not np.array_equal(times * _US, whole):
        raise DataLoss("The table of QuestDB has times between milliseconds.")
    return pa.array(times)
