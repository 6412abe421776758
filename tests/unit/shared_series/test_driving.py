"""Rows come the same and in order, wherever they are; the event loop never waits for the disk."""

from __future__ import annotations

import mmap
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from itertools import cycle
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from services.shared.arrow_stream import decode, encode
from services.shared.series import TIME, Rows
from services.shared.series.arrow_files import ArrowFiles, arrow_files
from services.shared.series.pages import (
    NotInMemory,
    can_be_told,
    expect_in_memory,
    read_pages,
)
from services.shared.series.segment import forget_mappings
from tests.contract.series_examples import put

ROWS = 250_000
SCHEMA = pa.schema([(TIME, pa.int64()), *((f"c{i}", pa.float64()) for i in range(9))])
WHOLE = pa.record_batch([np.arange(ROWS) * (i + 1) for i in range(10)], schema=SCHEMA)
TABLE = "bars"


@pytest.fixture(scope="module")
async def store(root: Path) -> AsyncIterator[ArrowFiles]:
    """25 MB in three segments."""
    async with arrow_files(root) as opened:
        await opened.create(TABLE, SCHEMA)
        for start, end in ((0, 120_000), (120_000, 120_010), (120_010, ROWS)):
            await put(opened, TABLE, WHOLE.slice(start, end - start))
        yield opened


def every(answers: list[bool]) -> Callable[[pa.Buffer], None]:
    """In place of `expect_in_memory`: the answers in turn, again and again."""
    found: Iterator[bool] = cycle(answers)

    def expect(buffer: pa.Buffer) -> None:
        if not next(found):
            raise NotInMemory

    return expect


@pytest.mark.parametrize(
    "answers", [[True], [False], [True] * 5 + [False], [False] * 5 + [True], [True, False]]
)
@pytest.mark.parametrize("columns", [None, ["c3", "index"]])
async def test_rows_are_the_same_wherever_they_are(
    store: ArrowFiles,
    monkeypatch: pytest.MonkeyPatch,
    answers: list[bool],
    columns: list[str] | None,
) -> None:
    monkeypatch.setattr("services.shared.series.driving.expect_in_memory", every(answers))
    forget_mappings()
    schema = await store.schema(TABLE, columns)
    pieces = store.read_pieces(TABLE, columns, span=Rows(10, ROWS - 10))
    batches = [batch async for batch in decode(encode(schema, pieces), schema)]
    read = pa.Table.from_batches(batches)
    assert read["index"].to_pylist() == list(range(10, ROWS - 10))
    assert read["c3"].to_pylist() == WHOLE["c3"].slice(10, ROWS - 20).to_pylist()


@pytest.mark.parametrize("columns", [None, ["c3", "index"], ["c3"]])
async def test_pages_on_the_disk_are_never_read_in_the_event_loop(
    store: ArrowFiles, monkeypatch: pytest.MonkeyPatch, columns: list[str] | None
) -> None:
    readers = set()

    def read(buffer: pa.Buffer) -> None:
        readers.add(threading.get_ident())
        read_pages(buffer)

    monkeypatch.setattr("services.shared.series.driving.expect_in_memory", every([False]))
    monkeypatch.setattr("services.shared.series.driving.read_pages", read)
    assert [piece async for piece in store.read_pieces(TABLE, columns)]
    assert readers
    assert threading.get_ident() not in readers


@pytest.mark.parametrize(
    ("setting", "value"),
    [("segment.can_be_told", lambda path: False), ("driving._MOST_PARTS", 0)],
)
async def test_what_cannot_be_known_or_takes_long_is_left_to_a_thread(
    store: ArrowFiles, monkeypatch: pytest.MonkeyPatch, setting: str, value: object
) -> None:
    def expect(buffer: pa.Buffer) -> None:
        raise AssertionError("It was looked for in the event loop.")

    monkeypatch.setattr(f"services.shared.series.{setting}", value)
    monkeypatch.setattr("services.shared.series.driving.expect_in_memory", expect)
    schema = await store.schema(TABLE)
    batches = [b async for b in decode(encode(schema, store.read_pieces(TABLE)), schema)]
    assert sum(batch.num_rows for batch in batches) == ROWS


def test_pages_of_a_file_that_is_gone_cannot_be_told(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.touch()
    assert can_be_told(path)
    path.unlink()
    assert not can_be_told(path)


def test_it_is_known_whether_pages_are_in_memory(tmp_path: Path) -> None:
    path = tmp_path / "hole"
    path.touch()
    with path.open("r+b") as file:
        file.truncate(64 << 20)  # what was never written nor read is nowhere
        mapped = pa.py_buffer(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
    with pytest.raises(NotInMemory):
        expect_in_memory(mapped)
    for part in (mapped.slice(5000, 100_000), mapped.slice((32 << 20) - 100, 200)):
        read_pages(part)
        expect_in_memory(part)
    with pytest.raises(NotInMemory):
        expect_in_memory(mapped)


def test_nothing_is_always_in_memory() -> None:
    expect_in_memory(pa.py_buffer(b""))
    read_pages(pa.py_buffer(b""))
