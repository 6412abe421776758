from __future__ import annotations

import hashlib
import json
import math
import struct
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.shared.canonical import (
    BLOCK_ROWS,
    ColumnType,
    TableHash,
    TableHasher,
    column_types,
    content_hash,
)

SCHEMA = pa.schema([("timestamp_ms", pa.int64()), ("close", pa.float64()), ("market", pa.string())])
Row = tuple[int, float | None, str | None]


def reference(rows: Sequence[Row], block_rows: int = BLOCK_ROWS) -> bytes:
    """The definition, row by row, with nothing but the standard library."""

    def value(column: int, cell: Any) -> bytes:
        if column == 0:
            return struct.pack("<q", cell)
        if column == 1:
            missing = cell is None or math.isnan(cell)
            return struct.pack("<Q", 0x7FF8 << 48) if missing else struct.pack("<d", cell + 0.0)
        text = b"" if cell is None else cell.encode()
        return struct.pack("<i", -1 if cell is None else len(text)) + text

    total = hashlib.sha256(b'[["timestamp_ms","int64"],["close","float64"],["market","text"]]')
    for start in range(0, len(rows), block_rows):
        block = rows[start : start + block_rows]
        columns = [b"".join(value(c, row[c]) for row in block) for c in range(3)]
        total.update(hashlib.sha256(b"".join(columns)).digest())
    total.update(struct.pack("<q", len(rows)))
    return total.digest()


def table(rows: Sequence[Row]) -> pa.RecordBatch:
    columns = list(zip(*rows, strict=True)) if rows else [(), (), ()]
    return pa.RecordBatch.from_arrays(
        [pa.array(c, t) for c, t in zip(columns, SCHEMA.types, strict=True)], schema=SCHEMA
    )


def hashed(batches: Iterable[pa.RecordBatch], kept: Sequence[bytes] = ()) -> TableHash:
    hasher = TableHasher(column_types(SCHEMA), kept=kept)
    for batch in batches:
        hasher.update(batch)
    return hasher.finish()


def cut(batch: pa.RecordBatch, at: Iterable[int]) -> list[pa.RecordBatch]:
    edges = [0, *sorted(at), batch.num_rows]
    return [batch.slice(a, b - a) for a, b in pairwise(edges)]


row = st.tuples(
    st.integers(-(2**63), 2**63 - 1),
    st.none() | st.floats(allow_nan=True, allow_infinity=True),
    st.none() | st.text(max_size=5),
)


@given(st.lists(row, max_size=30), st.lists(st.integers(0, 30), max_size=5))
def test_any_batches_of_the_same_rows_have_the_hash_of_the_definition(
    rows: list[Row], at: list[int]
) -> None:
    whole = table(rows)
    pieces = cut(whole, (min(a, len(rows)) for a in at))
    assert hashed(pieces).digest == reference(rows)


def many_rows(count: int) -> list[Row]:
    return [(60_000 * i, i / 7 if i % 5 else None, f"m{i % 3}") for i in range(count)]


def test_rows_of_several_blocks_have_the_hash_of_the_definition() -> None:
    rows = many_rows(2 * BLOCK_ROWS + 1)
    pieces = cut(table(rows), [1, 70_000, BLOCK_ROWS, 131_072])
    assert hashed(pieces).digest == reference(rows)


def test_a_known_table_has_a_known_hash() -> None:
    rows: list[Row] = [(0, 1.5, "a"), (60_000, -0.0, None), (120_000, None, "ü")]
    known = "a8feebf8ccdd57da43e2fdf68a630934e4eb53fa436b32a832442d98dc8b2506"
    assert hashed([table(rows)]).digest.hex() == known


@pytest.mark.parametrize("more", [0, 1, BLOCK_ROWS, BLOCK_ROWS + 5])
def test_an_append_hashes_only_from_the_last_open_block_on(more: int) -> None:
    rows = many_rows(BLOCK_ROWS + 10 + more)
    before = hashed([table(rows[: BLOCK_ROWS + 10])])
    assert len(before.whole_blocks) == 1
    after = hashed([table(rows[BLOCK_ROWS:])], kept=before.whole_blocks)
    assert after == hashed([table(rows)])


def test_a_block_that_is_just_full_stays_when_rows_follow() -> None:
    full = hashed([table(many_rows(BLOCK_ROWS))])
    assert full.whole_blocks == full.block_hashes


def test_minus_zero_is_zero_and_every_nan_is_null() -> None:
    odd = np.array([0xFFF8000000000001, 0x7FF0000000000001], "<u8").view("<f8")
    one = table([(0, -0.0, None), (1, None, None), (2, None, None)])
    other = one.set_column(1, "close", pa.array([0.0, *odd]))
    assert hashed([one]) == hashed([other])


def test_an_empty_text_is_not_a_missing_one() -> None:
    assert hashed([table([(0, 1.0, "")])]) != hashed([table([(0, 1.0, None)])])


def test_further_columns_do_not_count() -> None:
    rows = table([(0, 1.0, "a")])
    assert hashed([rows.append_column("index", pa.array([0]))]) == hashed([rows])


def test_a_time_that_is_null_is_refused() -> None:
    broken = table([(0, 1.0, "a")]).set_column(0, "timestamp_ms", pa.array([None], pa.int64()))
    with pytest.raises(ValueError, match="A time is null"):
        hashed([broken])


def test_names_and_order_of_columns_count() -> None:
    hashes = {
        TableHasher([(name, ColumnType.NUMBER)]).finish().digest for name in ("open", "close")
    }
    assert len(hashes) == 2


def test_integers_and_booleans_are_numbers_unless_they_are_times() -> None:
    schema = pa.schema(
        [("exit_ts_ms", pa.int64()), ("fold", pa.int64()), ("ok", pa.bool_()), ("s", pa.string())]
    )
    assert [kind for _, kind in column_types(schema)] == ["int64", "float64", "float64", "text"]


def test_other_types_are_refused() -> None:
    with pytest.raises(ValueError, match="'when' of type date32"):
        column_types(pa.schema([("when", pa.date32())]))


def test_the_content_hash_is_that_of_both_tables_in_order() -> None:
    bars, indicators = hashed([table([(0, 1.0, "a")])]), hashed([table([(0, 2.0, "b")])])
    both = hashlib.sha256(bars.digest + indicators.digest).hexdigest()
    assert content_hash(bars, indicators) == both
    assert content_hash(indicators, bars) != both


def test_the_description_of_columns_is_compact_json() -> None:
    empty = TableHasher([("größe", ColumnType.NUMBER)]).finish()
    head = json.dumps([["größe", "float64"]], ensure_ascii=False, separators=(",", ":"))
    assert empty.digest == hashlib.sha256(head.encode() + bytes(8)).digest()
