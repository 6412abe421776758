"""What a reader holds in memory of what the server sends, which here is a table of ours."""

from __future__ import annotations

import io
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from services.shared.series import TIME
from services.shared.series.questdb.layout import new_layout
from services.shared.series.questdb.memory import READ_BYTES, SLICE_BYTES, Claim, ReadMemory
from services.shared.series.questdb.reading import Reader
from services.shared.series.questdb.wire import SECONDS, Address, Answer, Wire

SCHEMA: Final = pa.schema(
    [
        pa.field(TIME, pa.int64(), nullable=False),
        pa.field("item", pa.int64(), nullable=False),
        pa.field("text", pa.string()),
    ]
)
LAYOUT: Final = new_layout("texts", SCHEMA, (TIME, "item"))
TEXT: Final = "x" * 200
POOLS: Final[list[pa.MemoryPool]] = []
"""Which outlive what was allocated in them."""


class Given(Wire):
    """Answers as the server does, of rows two of which have each time, the later item first."""

    def __init__(self, rows: int) -> None:
        super().__init__(Address(url="http://127.0.0.1:1"))
        self._rows = rows
        self.slices: list[int] = []

    async def rows(
        self, query: str, *, table: str = "", seconds: float = SECONDS
    ) -> list[list[Any]]:
        if "max(" in query:
            return [[self._us(self._rows - 1)]]
        start, end = self._between(query)
        skipped = re.search(r"LIMIT (\d+),", query)
        assert skipped is not None
        row = start + int(skipped[1])
        return [[self._us(row)]] if row < end else []

    async def slice(
        self, query: str, *, table: str, likely: int, most: int | None = None
    ) -> Answer:
        start, end = self._between(query)
        self.slices.append(end - start)
        row = np.arange(start, end)
        texts = pa.DictionaryArray.from_arrays(np.zeros(end - start, "i4"), [TEXT])
        times = pa.array(row // 2 * 1000, pa.timestamp("us"))
        sent = pa.table([times, pa.array(1 - row % 2), texts], list(LAYOUT.names))
        body = io.BytesIO()
        pq.write_table(sent, body, compression="none", store_schema=False)
        return Answer(pa.py_buffer(body.getvalue()))

    def _us(self, row: int) -> int:
        return row // 2 * 1000

    def _between(self, query: str) -> tuple[int, int]:
        end, start = (int(us) for us in re.findall(r"(\d+)::TIMESTAMP", query))
        return -(-start // 1000) * 2, min(-(-end // 1000) * 2, self._rows)


@asynccontextmanager
async def given(rows: int) -> AsyncIterator[Given]:
    wire = Given(rows)
    try:
        yield wire
    finally:
        wire.close()


@contextmanager
def allocating() -> Iterator[pa.MemoryPool]:
    usual = pa.default_memory_pool()
    POOLS.append(pa.proxy_memory_pool(usual))
    pa.set_memory_pool(POOLS[-1])
    try:
        yield POOLS[-1]
    finally:
        pa.set_memory_pool(usual)


async def test_texts_that_repeat_take_no_more_memory_than_was_claimed() -> None:
    """They are once in an answer, however many rows it has."""
    memory, claimed, rows = ReadMemory(), 0, 0
    async with given(400_000) as wire:
        reader = Reader(wire, LAYOUT, SCHEMA, {}, Claim(memory))
        with allocating() as pool:
            async for batch in reader.batches(None, None, {}):
                rows += batch.num_rows
                claimed = max(claimed, READ_BYTES - memory.free)
                assert pool.max_memory() <= claimed
    assert rows == 400_000
    assert max(wire.slices) <= SLICE_BYTES // len(TEXT)


async def test_a_reader_without_an_index_claims_what_is_decoded_at_once() -> None:
    memory = ReadMemory()
    async with given(40_000) as wire:
        numbers = pa.schema([SCHEMA.field(TIME), SCHEMA.field("item")])
        reader = Reader(wire, LAYOUT, numbers, {}, Claim(memory))
        batches = reader.batches(None, None, {})
        first = await anext(batches)
        assert first.column("item").to_pylist()[:4] == [0, 1, 0, 1]
        assert READ_BYTES - memory.free >= 3 * SLICE_BYTES  # the answer, combined, in order
        await batches.aclose()


async def test_an_answer_decoded_to_no_rows_does_not_end_its_slice(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with given(10) as wire:
        reader = Reader(wire, LAYOUT, SCHEMA, {}, Claim(ReadMemory()))
        usual = reader._batches

        def with_none_first(found: Any) -> Iterator[pa.RecordBatch]:
            yield pa.RecordBatch.from_pylist([], SCHEMA)
            yield from usual(found)

        monkeypatch.setattr(reader, "_batches", with_none_first)
        rows = [batch.num_rows async for batch in reader.batches(None, None, {})]
    assert sum(rows) == 10
