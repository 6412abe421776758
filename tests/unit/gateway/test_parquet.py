from __future__ import annotations

import io
from collections.abc import AsyncIterator, Sequence

import numpy as np
import polars as pl
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.http import parquet

EMPTY = pl.DataFrame(schema={"index": pl.Int64, "a": pl.Float64, "b": pl.String})
rows = st.lists(
    st.tuples(
        st.integers(-(2**63), 2**63 - 1),
        st.floats(allow_nan=False) | st.none(),
        st.text(st.characters(codec="utf-8")) | st.none(),
    ),
    max_size=5,
)


async def given_frames(frames: Sequence[pl.DataFrame]) -> AsyncIterator[pl.DataFrame]:
    for frame in (EMPTY, *frames):
        yield frame


async def pieces(frames: Sequence[pl.DataFrame]) -> list[bytes]:
    return [piece async for piece in parquet.parquet_pieces(given_frames(frames))]


@given(st.lists(rows, max_size=4))
async def test_what_is_read_is_what_was_written(batches: list[list[tuple[object, ...]]]) -> None:
    frames = [pl.DataFrame(batch, schema=EMPTY.schema, orient="row") for batch in batches]
    read = pl.read_parquet(io.BytesIO(b"".join(await pieces(frames))))
    assert read.equals(pl.concat([EMPTY, *frames]))


async def test_a_row_group_goes_out_before_the_next_is_written(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(parquet, "_GROUP_BYTES", 1 << 10)
    noise = np.random.default_rng(1).normal(size=1000)
    frame = pl.DataFrame({"index": range(1000), "a": noise, "b": ["x"] * 1000})
    sent = await pieces([frame] * 5)
    assert len(sent) == 6
    assert max(map(len, sent)) < 3 * sum(map(len, sent)) / len(sent)
    assert pq.ParquetFile(io.BytesIO(b"".join(sent))).num_row_groups == 5
