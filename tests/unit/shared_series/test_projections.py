"""Some columns of some rows, put together from where they lie."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.shared.arrow_stream import (
    CHUNK_BYTES,
    Assembler,
    ScatteredMessage,
    decode,
    encode,
    size_of,
)
from services.shared.series import TIME, Rows
from services.shared.series.arrow_files import ArrowFiles, arrow_files
from tests.contract.series_examples import MINUTE, put

MIXED = pa.schema(
    [
        pa.field(TIME, pa.int64(), nullable=False),
        *((name, pa.float64()) for name in ("full", "holes", "other")),
        pa.field("text", pa.string()),
        pa.field("flag", pa.bool_()),
        pa.field("count", pa.int64()),
        *((f"c{i}", pa.float64()) for i in range(80)),
    ]
)
ROWS = 12_000
NAMES = ["index", *MIXED.names[:9]]


def mixed(rows: int) -> pa.RecordBatch:
    number = np.arange(rows)
    holes = pa.array(np.where(number % 4000 < 1200, number / 3, np.nan), from_pandas=True)
    texts = pa.array([None if n % 7 == 0 else "" if n % 5 == 0 else f"é{n}" for n in range(rows)])
    flags = pa.array([None if n % 11 == 0 else n % 2 == 0 for n in range(rows)])
    wide = [pa.array(number * float(i)) for i in range(80)]
    columns = [number * MINUTE, number / 2, holes, -number / 5, texts, flags, number * 3, *wide]
    return pa.record_batch(columns, schema=MIXED)


WHOLE = mixed(ROWS)


@pytest.fixture(scope="module")
async def store(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[ArrowFiles]:
    """The rows in segments of several batches and of very few rows."""
    async with arrow_files(Path(tmp_path_factory.mktemp("series"))) as opened:
        await opened.create("mixed", MIXED)
        for start, end in ((0, 5000), (5000, 5003), (5003, 5004), (5004, ROWS)):
            await put(opened, "mixed", WHOLE.slice(start, end - start))
        yield opened


def expected(columns: list[str], start: int, end: int) -> pa.Table:
    index = pa.array(np.arange(ROWS))
    table = pa.Table.from_batches([WHOLE]).add_column(0, "index", index).select(columns)
    return table.slice(start, max(end - start, 0))


@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.sampled_from(NAMES), min_size=1, max_size=5, unique=True),
    st.integers(0, ROWS),
    st.integers(0, ROWS),
)
async def test_any_columns_of_any_rows_are_those_of_the_whole(
    store: ArrowFiles, columns: list[str], start: int, end: int
) -> None:
    schema = await store.schema("mixed", columns)
    pieces = store.read_pieces("mixed", columns, span=Rows(start, end))
    sent = [batch async for batch in decode(encode(schema, pieces), schema)]
    read = [batch async for batch in store.read("mixed", columns, span=Rows(start, end))]
    wanted = expected(columns, start, end)
    for batches in (sent, read):
        found = pa.Table.from_batches(batches, schema)
        found.validate(full=True)
        assert found.cast(wanted.schema).equals(wanted)


async def test_columns_without_nulls_are_sent_from_where_they_lie(store: ArrowFiles) -> None:
    names = ["index", *(f"c{i}" for i in range(40))]
    pieces = [piece async for piece in store.read_pieces("mixed", names)]
    assert all(isinstance(piece, ScatteredMessage) for piece in pieces)
    assert all(CHUNK_BYTES // 2 < size_of(piece) < CHUNK_BYTES * 5 // 4 for piece in pieces[:-1])


async def test_batches_of_one_size_may_have_their_nulls_in_other_columns(tmp_path: Path) -> None:
    schema = pa.schema([(TIME, pa.int64()), ("a", pa.float64()), ("b", pa.float64())])
    full, holed = pa.array([1.0, 2.0, 3.0, 4.0]), pa.array([None, 2.0, None, 4.0])
    async with arrow_files(tmp_path) as store:
        await store.create("t", schema)
        for number, (a, b) in enumerate([(full, holed), (holed, full), (full, holed)]):
            times = (4 * number + np.arange(4)) * MINUTE
            await put(store, "t", pa.record_batch([times, a, b], schema=schema))
        for columns in (["a"], ["b"]):
            sent = encode(await store.schema("t", columns), store.read_pieces("t", columns))
            found = pa.Table.from_batches([batch async for batch in decode(sent)])
            parts = [full, holed, full] if columns == ["a"] else [holed, full, holed]
            assert found[columns[0]].combine_chunks() == pa.concat_arrays(parts)


async def test_few_rows_of_a_column_ask_for_few_pages(
    store: ArrowFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []
    monkeypatch.setattr(
        "services.shared.series.driving.expect_in_memory", lambda buffer: asked.append(buffer.size)
    )
    assert [piece async for piece in store.read_pieces("mixed", ["c70"], span=Rows(100, 110))]
    assert 80 <= sum(asked) < 16_384  # its message has 800 KiB


@given(st.integers(1, 3000), st.integers(1, 5), st.integers(1, 4))
def test_a_message_put_together_is_the_one_arrow_writes(
    rows: int, columns: int, parts: int
) -> None:
    schema = pa.schema([(f"c{i}", pa.float64() if i % 2 else pa.int64()) for i in range(columns)])
    values = [np.arange(rows).astype(float if i % 2 else int) + i for i in range(columns)]
    batch = pa.record_batch(values, schema=schema)
    batches = zip(*(np.array_split(column, parts) for column in values), strict=True)
    cuts = [[pa.py_buffer(cut) for cut in columns] for columns in batches]
    message = Assembler(schema).message(cuts, rows)
    assert b"".join(message.parts) == batch.serialize().to_pybytes()
    assert message.size == len(b"".join(message.parts))


def test_only_columns_of_eight_bytes_a_row_are_put_together() -> None:
    assert Assembler(pa.schema([("a", pa.int64()), ("b", pa.float64())])).is_possible
    assert not Assembler(pa.schema([("a", pa.int64()), ("b", pa.bool_())])).is_possible
