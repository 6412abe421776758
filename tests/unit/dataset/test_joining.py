from __future__ import annotations

from collections.abc import AsyncIterator

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.dataset.app.joining import in_step


async def batches(sizes: list[int]) -> AsyncIterator[pa.RecordBatch]:
    start = 0
    for size in sizes:
        yield pa.record_batch({"n": list(range(start, start + size))})
        start += size


def cuts(total: int) -> st.SearchStrategy[list[int]]:
    """Sizes of batches that hold so many rows, empty ones among them."""
    borders = st.lists(st.integers(0, total), max_size=6).map(sorted)
    return borders.map(
        lambda b: [end - start for start, end in zip([0, *b], [*b, total], strict=True)]
    )


@settings(deadline=None)
@given(st.integers(0, 50).flatmap(lambda total: st.tuples(cuts(total), cuts(total))))
async def test_rows_stay_side_by_side_however_the_streams_are_cut(
    sizes: tuple[list[int], list[int]],
) -> None:
    pairs = [pair async for pair in in_step(batches(sizes[0]), batches(sizes[1]))]
    left = [value for a, _ in pairs for value in a["n"].to_pylist()]
    right = [value for _, b in pairs for value in b["n"].to_pylist()]
    assert left == right == list(range(sum(sizes[0])))


async def test_streams_of_different_lengths_are_an_error() -> None:
    with pytest.raises(RuntimeError, match="different numbers of rows"):
        [pair async for pair in in_step(batches([3, 2]), batches([4]))]
