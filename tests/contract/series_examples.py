"""Small tables of bars and predictions, and what a store must give back of them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from itertools import count
from typing import Any

import pyarrow as pa

from services.shared.arrow_stream import decode, encode
from services.shared.series import SeriesStore

MINUTE = 60_000
BARS = pa.schema(
    [
        pa.field("timestamp_ms", pa.int64(), nullable=False),
        ("close", pa.float64()),
        ("market", pa.string()),
    ]
)
PREDICTIONS = pa.schema(
    [
        pa.field("timestamp_ms", pa.int64(), nullable=False),
        pa.field("fold", pa.int64(), nullable=False),
        pa.field("attempt", pa.int64(), nullable=False),
        ("prediction", pa.float64()),
    ]
)
PREDICTIONS_KEY = ("timestamp_ms", "fold", "attempt")
_numbers = count()


def new_name() -> str:
    return f"t_{next(_numbers)}"


def bars(start: int, end: int, *, close: float = 0.5) -> pa.RecordBatch:
    """Rows start…end of a table of minutes; every seventh close is null."""
    rows = range(start, end)
    values = [None if i % 7 == 0 else i + close for i in rows]
    columns = ([i * MINUTE for i in rows], values, [f"m{i % 3}" for i in rows])
    arrays = [pa.array(c, t) for c, t in zip(columns, BARS.types, strict=True)]
    return pa.RecordBatch.from_arrays(arrays, schema=BARS)


def predictions(rows: Iterable[tuple[int, int, int, float]]) -> pa.RecordBatch:
    columns = list(zip(*rows, strict=True))
    arrays = [pa.array(c, t) for c, t in zip(columns, PREDICTIONS.types, strict=True)]
    return pa.RecordBatch.from_arrays(arrays, schema=PREDICTIONS)


async def stream(*batches: pa.RecordBatch) -> AsyncIterator[pa.RecordBatch]:
    for batch in batches:
        yield batch


async def put(store: SeriesStore, table: str, *batches: pa.RecordBatch) -> None:
    await store.write(table, stream(*batches))
    await store.settle(table)


async def rows_of(store: SeriesStore, table: str, *args: Any, **kwargs: Any) -> list[Any]:
    """What `read` gives, checked to be the same as what `read_pieces` sends."""
    schema = await store.schema(table, *args)
    read = [batch async for batch in store.read(table, *args, **kwargs)]
    wire = decode(encode_payloads(store, schema, table, *args, **kwargs), schema)
    sent = [batch async for batch in wire]
    rows: list[Any] = pa.Table.from_batches(read, schema).to_pylist()
    assert pa.Table.from_batches(sent, schema).to_pylist() == rows
    return rows


def encode_payloads(
    store: SeriesStore, schema: pa.Schema, table: str, *args: Any, **kwargs: Any
) -> AsyncIterator[bytes]:
    return encode(schema, store.read_pieces(table, *args, **kwargs))


def expected(start: int, end: int) -> list[Any]:
    rows = bars(start, end).to_pylist()
    return [{"index": i, **row} for i, row in zip(range(start, end), rows, strict=True)]


async def with_bars(store: SeriesStore, *batches: pa.RecordBatch) -> str:
    table = new_name()
    await store.create(table, BARS)
    await put(store, table, *batches)
    return table


async def with_predictions(store: SeriesStore, *batches: pa.RecordBatch) -> str:
    table = new_name()
    await store.create(table, PREDICTIONS, key=PREDICTIONS_KEY)
    for batch in batches:
        await put(store, table, batch)
    return table
