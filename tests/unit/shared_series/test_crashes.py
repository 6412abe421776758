from __future__ import annotations

from itertools import count
from pathlib import Path

import pytest

from services.shared.series.arrow_files import ArrowFiles, arrow_files
from tests.contract.series_examples import expected, rows_of
from tests.unit.shared_series.crashing import killed_at, live


async def folds_of(store: ArrowFiles) -> list[int]:
    return sorted({row["fold"] for row in await rows_of(store, "wf")})


async def check_whole(store: ArrowFiles) -> None:
    """Each write is there wholly or not at all."""
    tables = await store.tables()
    assert set(tables) <= {"base", "staged", "wf"}
    if "base" in tables:
        rows = await rows_of(store, "base")
        assert len(rows) in (0, 100, 150)
        assert rows == expected(0, len(rows))
    if "staged" in tables:
        assert len(await rows_of(store, "staged")) in (0, 50)
    if "wf" in tables:
        assert len(await rows_of(store, "wf")) == {0: 0, 1: 50, 2: 110}[len(await folds_of(store))]


@pytest.fixture(scope="module")
async def roots(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """What a kill before each step left behind."""
    left: list[Path] = []
    for step in count():
        root = tmp_path_factory.mktemp("killed")
        if not killed_at(root, step, live):
            break
        left.append(root)
    return left


async def test_a_kill_at_any_step_leaves_whole_writes(roots: list[Path]) -> None:
    assert len(roots) > 20
    for root in roots:
        async with arrow_files(root) as store:
            await check_whole(store)
            assert list((root / ".aside").iterdir()) == []


async def test_after_a_kill_at_any_step_the_same_work_comes_to_its_end(roots: list[Path]) -> None:
    for root in roots:
        async with arrow_files(root) as store:
            await live(store)
            assert await store.tables() == ["base", "wf"]
            assert await rows_of(store, "base") == expected(0, 150)
            assert len(await rows_of(store, "wf")) == 110
