from __future__ import annotations

import asyncio
from collections.abc import Sequence
from itertools import count
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.shared.errors import DataLoss
from services.shared.series import Bounds, NoSuchTable, Rows
from services.shared.series import arrow_files as module
from services.shared.series.arrow_files import ArrowFiles, arrow_files
from services.shared.series.compacting import (
    LARGE_BYTES,
    MANY,
    SMALL_BYTES,
    Run,
    merge_segments,
    run_to_compact,
)
from services.shared.series.segment import Segment, forget_mappings, named_rows
from services.shared.series.table import Table
from tests.contract.series_examples import (
    BARS,
    MINUTE,
    PREDICTIONS,
    PREDICTIONS_KEY,
    bars,
    expected,
    predictions,
    put,
    rows_of,
)
from tests.unit.shared_series.crashing import grow, grow_on, killed_at


def segments(root: Path, table: str) -> list[str]:
    return sorted(path.name for path in (root / table).glob("[0-9]*.arrow"))


async def small_writes(store: ArrowFiles, writes: int, *, first: int = 0) -> None:
    await store.create("bars", BARS)
    for i in range(first, first + writes):
        await put(store, "bars", bars(10 * i, 10 * i + 10))


async def test_many_small_segments_become_one(tmp_path: Path) -> None:
    async with arrow_files(tmp_path) as store:
        await small_writes(store, MANY - 1)
        assert len(segments(tmp_path, "bars")) == MANY - 1
        await small_writes(store, 1, first=MANY - 1)
        assert "000000000000000+000000000080.arrow" in segments(tmp_path, "bars")
        assert await rows_of(store, "bars") == expected(0, 80)
        await small_writes(store, 20, first=MANY)
        assert await rows_of(store, "bars") == expected(0, 280)
    async with arrow_files(tmp_path) as store:
        assert await rows_of(store, "bars") == expected(0, 280)
        assert len(segments(tmp_path, "bars")) < MANY


async def test_a_reader_under_way_keeps_what_it_began_with(tmp_path: Path) -> None:
    async with arrow_files(tmp_path) as store:
        await small_writes(store, MANY - 1)
        reader = store.read("bars", span=Rows(0, 70))
        first = await anext(reader)
        await small_writes(store, 1, first=MANY - 1)
        rest = [batch async for batch in reader]
        read = pa.Table.from_batches([first, *rest]).to_pylist()
        assert read == expected(0, 70)


async def test_bounds_take_nothing_from_a_reader(tmp_path: Path) -> None:
    async with arrow_files(tmp_path) as store:
        await small_writes(store, MANY - 1)
        before = segments(tmp_path, "bars")
        reader = store.read("bars")
        await anext(reader)
        await small_writes(store, 1, first=MANY - 1)
        assert await store.bounds("bars") == Bounds(80, 0, 79 * MINUTE)
        assert set(before) < set(segments(tmp_path, "bars"))
        await reader.aclose()


async def test_bounds_beside_compactions_are_those_of_whole_writes(tmp_path: Path) -> None:
    async with arrow_files(tmp_path) as store:
        await small_writes(store, 1)
        writing = asyncio.create_task(small_writes(store, 100, first=1))
        while not writing.done():
            found = await store.bounds("bars")
            assert found is not None
            assert found.rows % 10 == 0
            assert found.last_ms == (found.rows - 1) * MINUTE
        await writing


async def test_bounds_of_a_table_that_is_dropped_meanwhile_say_so(tmp_path: Path) -> None:
    async with arrow_files(tmp_path) as store:
        for _ in range(50):
            await small_writes(store, 3)
            found, _ = await asyncio.gather(
                store.bounds("bars"), store.drop("bars"), return_exceptions=True
            )
            assert found == Bounds(30, 0, 29 * MINUTE) or isinstance(found, NoSuchTable)


async def test_bounds_of_a_table_that_has_lost_a_file_tell_the_loss(tmp_path: Path) -> None:
    async with arrow_files(tmp_path) as store:
        await small_writes(store, 3)
        lost = tmp_path / "bars" / segments(tmp_path, "bars")[1]
        lost.unlink()
        with pytest.raises(DataLoss, match=f"Table bars has lost its file {lost}"):
            await store.bounds("bars")


async def test_of_rows_with_one_key_the_last_still_counts(tmp_path: Path) -> None:
    async with arrow_files(tmp_path) as store:
        await store.create("wf", PREDICTIONS, key=PREDICTIONS_KEY)
        before: dict[int, float] = {}
        for i in range(3 * MANY):
            rows = [(t, 0, 1, float(i)) for t in range(5 * i, 5 * i + 10)]
            before |= {row[0]: row[3] for row in rows}
            await put(store, "wf", predictions(rows))
        found = await rows_of(store, "wf")
        assert [row["prediction"] for row in found] == list(before.values())
    async with arrow_files(tmp_path) as store:
        assert await rows_of(store, "wf") == found
        await put(store, "wf", predictions([(0, 0, 1, 99.0)]))
        assert (await rows_of(store, "wf"))[0]["prediction"] == 99.0


async def test_a_compaction_that_fails_leaves_the_write_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module, "merge_segments", full)
    async with arrow_files(tmp_path) as store:
        await small_writes(store, MANY + 2)
        assert await rows_of(store, "bars") == expected(0, 100)


async def test_rows_are_written_beside_a_damaged_segment(tmp_path: Path) -> None:
    async with arrow_files(tmp_path) as store:
        await small_writes(store, MANY - 1)
        damaged = tmp_path / "bars" / segments(tmp_path, "bars")[3]
        content = bytearray(damaged.read_bytes())
        content[200:400] = bytes(200)
        damaged.write_bytes(content)
        forget_mappings()
        await small_writes(store, 1 + MANY, first=MANY - 1)
        assert await rows_of(store, "bars", span=Rows(70, 160)) == expected(70, 160)
        assert "000000000000080+000000000080.arrow" in segments(tmp_path, "bars")
        assert not list((tmp_path / ".aside").iterdir())


async def test_a_cancelled_compaction_leaves_nothing_aside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with arrow_files(tmp_path) as store:
        await small_writes(store, MANY - 1)

        def cancelling(table: Table, old: Sequence[Segment], aside: Path) -> None:
            merge_segments(table, old, aside)
            loop.call_soon_threadsafe(writing.cancel)

        loop = asyncio.get_running_loop()
        monkeypatch.setattr(module, "merge_segments", cancelling)
        writing = asyncio.create_task(small_writes(store, 1, first=MANY - 1))
        await asyncio.wait([writing])
        assert writing.cancelled()
        assert not list((tmp_path / ".aside").iterdir())
        assert await rows_of(store, "bars") == expected(0, 80)


async def test_a_segment_that_nothing_covers_is_noticed(tmp_path: Path) -> None:
    async with arrow_files(tmp_path) as store:
        await small_writes(store, 3)
    folder = tmp_path / "bars"
    (folder / "000000000000010.arrow").rename(folder / "000000000000011.arrow")
    async with arrow_files(tmp_path) as store:
        with pytest.raises(DataLoss, match=r"has the segment 0+11\.arrow after 10 rows"):
            await rows_of(store, "bars")


async def test_a_kill_at_any_step_of_a_compaction_loses_nothing(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    for step in count():
        root = tmp_path_factory.mktemp("killed")
        async with arrow_files(root) as store:
            await grow(store)
        if not killed_at(root, step, grow_on):
            break
        async with arrow_files(root) as store:
            rows = await rows_of(store, "base")
            assert len(rows) in (70, 80)
            assert rows == expected(0, len(rows))
            assert len(await rows_of(store, "wf")) in (40, 45)
            await grow_on(store)
            assert await rows_of(store, "base") == expected(0, 80)
            assert len(await rows_of(store, "wf")) == 45
    assert step > 20
    async with arrow_files(root) as store:
        assert await rows_of(store, "base") == expected(0, 80)
    assert segments(root, "base") == ["000000000000000+000000000080.arrow"]


@given(st.lists(st.integers(1, 3 * LARGE_BYTES), max_size=40))
def test_large_segments_stay_and_few_small_ones_do(sizes: Sequence[int]) -> None:
    run = run_to_compact(sizes)
    if run is None:
        return
    assert run.stop == len(sizes)
    assert run.stop - run.start >= MANY
    assert max(sizes[run.start :]) < LARGE_BYTES


@pytest.mark.parametrize(("rows", "at_most"), [(10, 10), (1000, 10), (100_000, 12)])
def test_a_byte_is_written_again_a_few_times_only(rows: int, at_most: int) -> None:
    """Of a table that is written in very many pieces of one size."""
    size, sizes, written = 40 * rows, [], 0
    for _ in range(3000):
        sizes.append(size)
        written += size
        while run := run_to_compact(sizes):
            merged = sum(sizes[run.start :])
            written += merged
            sizes[run.start :] = [merged]
    assert len(sizes) < 3 * MANY + 3000 * size // LARGE_BYTES
    assert written <= at_most * 3000 * size + MANY * 3000 * SMALL_BYTES


def test_names_say_how_many_rows_a_segment_stands_for() -> None:
    assert named_rows(Path("000000000000400+000000000900.arrow")) == (400, 900)
    assert named_rows(Path("000000000000400.arrow")) == (400, 0)
    assert run_to_compact([1] * MANY) == Run(0, MANY)
