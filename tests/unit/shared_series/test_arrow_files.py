from __future__ import annotations

import asyncio
import resource
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.shared.arrow_stream import CHUNK_BYTES, StoredMessage, decode, encode, size_of
from services.shared.series import TIME, NoSuchTable, Rows, TableDiffers, Times
from services.shared.series.arrow_files import ArrowFiles, arrow_files
from services.shared.series.disk import DiskFull, StoreInUse
from services.shared.series.merging import in_key_order
from services.shared.series.segment import OpenSegment, load_segment
from services.shared.series.segment_writer import SegmentWriter
from tests.contract.series_examples import (
    BARS,
    MINUTE,
    PREDICTIONS,
    PREDICTIONS_KEY,
    bars,
    expected,
    new_name,
    predictions,
    put,
    rows_of,
    stream,
    with_bars,
    with_predictions,
)
from tests.contract.series_store import SeriesStoreContract

NUMBERS = pa.schema([(TIME, pa.int64()), *((f"c{i}", pa.float64()) for i in range(20))])


class TestArrowFiles(SeriesStoreContract):
    pass


async def numbers(rows: int, at_a_time: int = 50_000) -> AsyncIterator[pa.RecordBatch]:
    for start in range(0, rows, at_a_time):
        times = np.arange(start, min(start + at_a_time, rows)) * MINUTE
        yield pa.record_batch([times, *(times / (i + 1) for i in range(20))], schema=NUMBERS)


@pytest.fixture(scope="module")
async def large(store: ArrowFiles) -> str:
    """800,000 rows, 141 MB."""
    await store.create("large", NUMBERS)
    await store.write("large", numbers(800_000))
    return "large"


@pytest.fixture(scope="module")
async def parted(store: ArrowFiles) -> str:
    """60,000 rows in three segments of 3, 1 and 5 batches."""
    await store.create("parted", NUMBERS)
    rows = pa.concat_batches([batch async for batch in numbers(60_000)])
    for start, end in ((0, 20_000), (20_000, 20_001), (20_001, 60_000)):
        await put(store, "parted", rows.slice(start, end - start))
    return "parted"


row_numbers = st.integers(-10, 60_010)


@settings(max_examples=60, deadline=None)
@given(
    first=row_numbers,
    last=row_numbers,
    late=st.integers(0, 1),
    mark=st.none() | row_numbers,
    columns=st.none() | st.just(["c1", "index"]),
)
async def test_any_span_is_a_slice_of_the_whole(
    store: ArrowFiles,
    parted: str,
    first: int,
    last: int,
    late: int,
    mark: int | None,
    columns: list[str] | None,
) -> None:
    below_ms = None if mark is None else mark * MINUTE
    end = min(last, 60_000 if mark is None else mark, 60_000)
    for span, start in (
        (Rows(first, last), max(first, 0)),
        (Times(first * MINUTE + late, last * MINUTE), max(first + late, 0)),
    ):
        read = store.read_pieces(parted, columns, span=span, below_ms=below_ms)
        schema = await store.schema(parted, columns)
        batches = [batch async for batch in decode(encode(schema, read), schema)]
        index = pa.Table.from_batches(batches, schema).column("index").to_pylist()
        assert index == list(range(start, end))


async def test_a_whole_table_is_sent_as_it_is_stored(store: ArrowFiles, large: str) -> None:
    pieces = [piece async for piece in store.read_pieces(large)]
    assert all(isinstance(piece, StoredMessage) for piece in pieces)
    sizes = [size_of(piece) for piece in pieces]
    assert min(sizes) > 0.7 * CHUNK_BYTES
    assert max(sizes) < 1.4 * CHUNK_BYTES


async def test_of_a_range_only_the_edges_are_made_anew(store: ArrowFiles, large: str) -> None:
    pieces = [piece async for piece in store.read_pieces(large, span=Rows(10, 99_990))]
    assert [isinstance(p, StoredMessage) for p in pieces[1:-1]] == [True] * (len(pieces) - 2)
    assert [isinstance(p, StoredMessage) for p in (pieces[0], pieces[-1])] == [False, False]


async def test_narrow_columns_come_in_messages_as_large(store: ArrowFiles, large: str) -> None:
    batches = [batch async for batch in store.read(large, ["c3"])]
    assert all(b.nbytes > CHUNK_BYTES // 2 for b in batches[:-1])
    assert sum(b.num_rows for b in batches) == 800_000


async def test_other_programs_can_read_a_segment(store: ArrowFiles, root: Path, large: str) -> None:
    (segment,) = root.joinpath(large).glob("0*.arrow")
    with pa.memory_map(str(segment)) as file:
        table = pa.ipc.open_file(file).read_all()
    assert table.column("index").to_numpy()[-1] == table.num_rows - 1 == 799_999


def anonymous_bytes() -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("RssAnon"):
            return int(line.split()[1]) * 1024
    raise AssertionError("/proc/self/status has no RssAnon.")


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells anonymous memory apart")
@pytest.mark.parametrize("columns", [None, ["index", "c0", "c1"]])
async def test_reading_a_large_table_takes_no_memory_of_its_size(
    store: ArrowFiles, large: str, columns: list[str] | None
) -> None:
    before = anonymous_bytes()
    most = 0
    async for _ in store.read(large, columns):
        most = max(most, anonymous_bytes() - before)
    assert most < 32 << 20


@contextmanager
def files_at_most(size: int) -> Iterator[None]:
    """The nearest thing to a full disk that needs no rights: writes fail in the same place."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


async def test_a_full_disk_is_told_and_leaves_nothing(store: ArrowFiles, root: Path) -> None:
    table = new_name()
    await store.create(table, NUMBERS)
    with files_at_most(4 << 20), pytest.raises(DiskFull, match="is full: nothing was stored"):
        await store.write(table, numbers(100_000, 5_000))
    assert await rows_of(store, table) == []
    assert list((root / ".aside").iterdir()) == []
    await store.write(table, numbers(10))
    assert len(await rows_of(store, table)) == 10


async def test_a_disk_too_full_for_a_schema_is_told_and_leaves_nothing(
    store: ArrowFiles, root: Path
) -> None:
    """Of a new table, and of the first segment of one whose columns fill a file's buffer."""
    table, columns = new_name(), [f"c{i}" for i in range(500)]
    schema = pa.schema([(TIME, pa.int64()), *((name, pa.float64()) for name in columns)])
    with files_at_most(100), pytest.raises(DiskFull):
        await store.create(table, schema)
    assert table not in await store.tables()
    assert list((root / ".aside").iterdir()) == []
    await store.create(table, schema)
    row = pa.record_batch([[0], *([1.0] for _ in columns)], schema=schema)
    with files_at_most(100), pytest.raises(DiskFull):
        await put(store, table, row)
    assert list((root / ".aside").iterdir()) == []


async def test_rows_that_would_change_others_are_refused(store: ArrowFiles) -> None:
    table = await with_bars(store, bars(0, 10))
    for wrong in (bars(5, 12, close=0.25), bars(-3, 2), bars(20, 30).take([0, 0]), bars(4, 5)):
        rows = wrong if wrong.num_rows > 1 else wrong.set_column(2, "market", pa.array(["?"]))
        with pytest.raises(TableDiffers):
            await put(store, table, rows)
    with pytest.raises(TableDiffers, match="not in order of time"):
        await put(store, table, bars(20, 30), bars(10, 20))
    assert await rows_of(store, table) == expected(0, 10)


async def test_rows_of_other_columns_are_refused(store: ArrowFiles) -> None:
    table = await with_bars(store)
    with pytest.raises(ValueError, match="has timestamp_ms: int64 not null"):
        await put(store, table, bars(0, 3).select([TIME, "market", "close"]))


async def test_a_key_is_never_null(store: ArrowFiles) -> None:
    table = await with_predictions(store)
    row = predictions([(1, 0, 1, 0.5)]).set_column(1, PREDICTIONS.field(1), pa.array([None], "i8"))
    with pytest.raises(ValueError, match="may have no nulls"):
        await put(store, table, row)


async def test_writers_of_one_table_take_turns_where_rows_have_an_index(
    store: ArrowFiles,
) -> None:
    table = await with_bars(store)
    first_is_in = asyncio.Event()

    async def slow() -> AsyncIterator[pa.RecordBatch]:
        first_is_in.set()
        await asyncio.sleep(0)
        yield bars(0, 50)

    async def next_one() -> None:
        await first_is_in.wait()
        await store.write(table, stream(bars(50, 90)))

    await asyncio.gather(store.write(table, slow()), next_one())
    assert await rows_of(store, table) == expected(0, 90)


async def test_writers_of_a_longer_key_do_not_wait_for_each_other(store: ArrowFiles) -> None:
    table = await with_predictions(store)
    second_is_done = asyncio.Event()

    async def slow() -> AsyncIterator[pa.RecordBatch]:
        await second_is_done.wait()
        yield predictions((t, 0, 1, 0.5) for t in range(10))

    async def quick() -> None:
        await store.write(table, stream(predictions((t, 1, 1, 0.5) for t in range(10))))
        second_is_done.set()

    await asyncio.gather(store.write(table, slow()), quick())
    assert len(await rows_of(store, table)) == 20


async def test_a_cancelled_write_leaves_nothing(store: ArrowFiles, root: Path) -> None:
    table = await with_bars(store)
    started = asyncio.Event()

    async def endless() -> AsyncIterator[pa.RecordBatch]:
        yield bars(0, 200_000)
        started.set()
        await asyncio.Event().wait()

    write = asyncio.create_task(store.write(table, endless()))
    await started.wait()
    write.cancel()
    with pytest.raises(asyncio.CancelledError):
        await write
    assert await rows_of(store, table) == []
    assert list((root / ".aside").iterdir()) == []


async def test_a_reader_sees_the_table_as_it_was_when_it_began(store: ArrowFiles) -> None:
    table = await with_bars(store, bars(0, 5))
    reader = store.read(table)
    rows = await anext(reader)
    await put(store, table, bars(5, 9))
    assert rows.num_rows + sum([b.num_rows async for b in reader]) == 5


async def test_rows_in_hand_outlive_their_table(store: ArrowFiles) -> None:
    table = await with_bars(store, bars(0, 5))
    rows = [batch async for batch in store.read(table)]
    await store.drop(table)
    assert pa.Table.from_batches(rows).to_pylist() == expected(0, 5)


async def test_a_table_dropped_under_a_reader_is_gone(store: ArrowFiles) -> None:
    table = new_name()
    await store.create(table, NUMBERS)
    async for batch in numbers(150_000):  # a segment each, as long as what is read ahead
        await put(store, table, batch)
    reader = store.read(table)
    await anext(reader)
    await store.drop(table)
    with pytest.raises(NoSuchTable, match="was dropped while it was read"):
        _ = [batch async for batch in reader]


async def test_a_write_to_a_table_that_is_dropped_meanwhile_is_refused(store: ArrowFiles) -> None:
    table = await with_bars(store)

    async def rows() -> AsyncIterator[pa.RecordBatch]:
        yield bars(0, 5)
        await store.drop(table)
        await store.create(table, BARS)

    with pytest.raises(NoSuchTable, match="was dropped while"):
        await store.write(table, rows())
    assert await rows_of(store, table) == []


async def test_another_process_cannot_open_the_same_folder(store: ArrowFiles, root: Path) -> None:
    with pytest.raises(StoreInUse):
        async with arrow_files(root):
            pass


async def test_everything_is_there_after_a_restart(tmp_path: Path) -> None:
    async with arrow_files(tmp_path) as store:
        await store.create("t", BARS)
        await put(store, "t", bars(0, 10))
        await put(store, "t", bars(10, 30))
        await store.create("p", PREDICTIONS, key=PREDICTIONS_KEY)
        await put(store, "p", predictions([(1, 0, 1, 0.5)]))
    async with arrow_files(tmp_path) as store:
        assert await store.tables() == ["p", "t"]
        assert await rows_of(store, "t") == expected(0, 30)
        await put(store, "t", bars(30, 31))
        assert await rows_of(store, "t") == expected(0, 31)
        assert len(await rows_of(store, "p", where={"fold": 0})) == 1


row = st.tuples(st.integers(0, 12), st.integers(0, 2), st.integers(1, 2))


@settings(deadline=None)
@given(
    writes=st.lists(st.lists(row, min_size=1, max_size=25), min_size=1, max_size=6),
    window_rows=st.integers(1, 9),
)
def test_overlapping_segments_merge_as_a_dictionary_would(
    tmp_path_factory: pytest.TempPathFactory,
    writes: list[list[tuple[int, int, int]]],
    window_rows: int,
) -> None:
    folder = tmp_path_factory.mktemp("merge")
    last: dict[tuple[int, int, int], float] = {}
    sources = []
    for number, keys in enumerate(writes):
        rows = sorted({key: number + key[0] / 100 for key in keys}.items())
        last |= rows
        writer = SegmentWriter(folder / str(number), PREDICTIONS)
        for start in range(0, len(rows), 4):  # several batches, as in a long segment
            writer.write(predictions((*k, v) for k, v in rows[start : start + 4]))
        writer.finish()
        segment = load_segment(folder / str(number), PREDICTIONS, TIME)
        sources.append((OpenSegment(segment, TIME), 0, segment.rows))
    merged = pa.Table.from_batches(in_key_order(sources, PREDICTIONS_KEY, window_rows))
    found = [tuple(r.values()) for r in merged.to_pylist()]
    assert found == [(*key, value) for key, value in sorted(last.items())]
    assert all(a < b for a, b in pairwise(found))
