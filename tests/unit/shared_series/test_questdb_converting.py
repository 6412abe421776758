from __future__ import annotations

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from services.shared.arrow_stream import CHUNK_BYTES
from services.shared.series.questdb.converting import parts


@given(rows=st.integers(0, 200_000), columns=st.integers(1, 6))
def test_parts_are_all_rows_in_as_few_messages_as_there_can_be(rows: int, columns: int) -> None:
    batch = pa.record_batch({f"c{i}": np.arange(rows, dtype=float) for i in range(columns)})
    cut = parts(batch)
    assert all(part.nbytes <= CHUNK_BYTES for part in cut)
    assert len(cut) <= -(-batch.nbytes // (CHUNK_BYTES - 64 * columns))
    assert pa.Table.from_batches(cut, batch.schema).equals(pa.Table.from_batches([batch]))
