"""Files that were lost, cut or changed from elsewhere are told by name, never read as rows."""

from __future__ import annotations

from pathlib import Path

import pytest

from services.shared.errors import DataLoss
from services.shared.series import Bounds
from services.shared.series.arrow_files import ArrowFiles, arrow_files
from services.shared.series.segment import forget_mappings
from tests.contract.series_examples import (
    BARS,
    MINUTE,
    bars,
    expected,
    put,
    rows_of,
    with_bars,
)


def replace_file(path: Path, content: bytes) -> None:
    aside = path.with_name("copy")
    aside.write_bytes(content)
    aside.replace(path)


async def test_a_file_that_was_taken_away_is_a_loss_and_no_drop(
    store: ArrowFiles, root: Path
) -> None:
    table = await with_bars(store, bars(0, 5))
    (segment,) = root.joinpath(table).glob("0*.arrow")
    content = segment.read_bytes()
    segment.unlink()
    with pytest.raises(DataLoss, match=f"Table {table} has lost its file {segment}"):
        await rows_of(store, table)
    with pytest.raises(DataLoss, match="has lost its file"):
        await put(store, table, bars(0, 6))  # some of which must be what is there
    replace_file(segment, content)
    assert await rows_of(store, table) == expected(0, 5)


@pytest.mark.parametrize("left", [0, 300])
@pytest.mark.parametrize("columns", [None, ["close"]])
async def test_a_file_shorter_than_its_rows_is_told(
    store: ArrowFiles, root: Path, left: int, columns: list[str] | None
) -> None:
    table = await with_bars(store, bars(0, 50))
    (segment,) = root.joinpath(table).glob("0*.arrow")
    replace_file(segment, segment.read_bytes()[:left])
    message = f"The segment {segment} is damaged: it ends after {left} bytes"
    with pytest.raises(DataLoss, match=message):
        _ = [piece async for piece in store.read_pieces(table, columns)]


@pytest.mark.parametrize(
    ("columns", "stored"), [(None, False), (["market", "index"], False), (["close"], True)]
)
async def test_a_byte_changed_anywhere_gives_rows_or_a_loss_that_names_the_file(
    store: ArrowFiles, root: Path, columns: list[str] | None, stored: bool
) -> None:
    table = await with_bars(store, bars(0, 50))
    (segment,) = root.joinpath(table).glob("0*.arrow")
    content = segment.read_bytes()
    told = []
    for place in range(8, len(content), 3):
        changed = content[:place] + bytes([content[place] ^ 0xFF]) + content[place + 1 :]
        replace_file(segment, changed)
        forget_mappings()
        try:
            read = store.read_pieces if stored else store.read
            _ = [piece async for piece in read(table, columns)]
        except DataLoss as error:
            told.append(str(error))
    assert len(told) > 10
    assert set(told) == {f"The segment {segment} is damaged."}


async def test_bounds_make_readers_see_the_files_of_now(store: ArrowFiles, root: Path) -> None:
    table, other = [await with_bars(store, bars(i, i + 50)) for i in (0, 500)]
    assert await rows_of(store, table) == expected(0, 50)  # mapped from now on
    (segment,) = root.joinpath(table).glob("0*.arrow")
    (strange,) = root.joinpath(other).glob("0*.arrow")
    content = segment.read_bytes()
    replace_file(segment, strange.read_bytes())
    assert await store.bounds(table) == await store.bounds(other)
    assert await rows_of(store, table) == await rows_of(store, other)
    replace_file(segment, content[:300])
    with pytest.raises(DataLoss, match=str(segment)):
        await store.bounds(table)
    replace_file(segment, content)
    assert await store.bounds(table) == Bounds(50, 0, 49 * MINUTE)
    assert await rows_of(store, table) == expected(0, 50)


async def test_a_file_of_other_rows_never_counts_as_a_segment(
    store: ArrowFiles, root: Path
) -> None:
    """Segments are named by the rows before them: the next ones would no longer follow."""
    table, other = [await with_bars(store, bars(0, rows)) for rows in (50, 40)]
    (segment,) = root.joinpath(table).glob("0*.arrow")
    (shorter,) = root.joinpath(other).glob("0*.arrow")
    replace_file(segment, shorter.read_bytes())
    with pytest.raises(DataLoss, match=f"The segment {segment} has 40 rows instead of 50"):
        await store.bounds(table)


async def broken_store(root: Path) -> list[Path]:
    async with arrow_files(root) as store:
        await store.create("t", BARS)
        for start in range(0, 30, 10):
            await put(store, "t", bars(start, start + 10))
    return sorted((root / "t").glob("0*"))


async def test_a_missing_segment_is_noticed(tmp_path: Path) -> None:
    segments = await broken_store(tmp_path)
    segments[1].unlink()
    async with arrow_files(tmp_path) as store:
        with pytest.raises(DataLoss, match="after 10 rows"):
            await rows_of(store, "t")


async def test_a_segment_cut_anywhere_is_noticed(tmp_path: Path) -> None:
    segment = (await broken_store(tmp_path))[2]
    whole = segment.read_bytes()
    for size in range(0, len(whole), 7):
        segment.write_bytes(whole[:size])
        async with arrow_files(tmp_path) as store:
            with pytest.raises(DataLoss):
                await rows_of(store, "t")


async def test_a_damaged_schema_is_noticed(tmp_path: Path) -> None:
    await broken_store(tmp_path)
    (schema,) = (p for p in (tmp_path / "t").iterdir() if not p.name.startswith("0"))
    schema.write_bytes(schema.read_bytes()[:40])
    async with arrow_files(tmp_path) as store:
        with pytest.raises(DataLoss, match="schema of table t"):
            await rows_of(store, "t")
