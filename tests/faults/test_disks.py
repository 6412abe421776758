"""A disk is full: of the series store, of the uploads, of QuestDB."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from services.shared.errors import Exhausted, Stage1Error
from tests.faults.cases import Cases, chosen
from tests.faults.servers import filled, killable_questdb, small_disk

_KINDS = ("import", "append")
needs_root = pytest.mark.skipif(
    os.geteuid() != 0,
    reason="NOT TESTED: a full disk, because mounting a small tmpfs needs root.",
)


@needs_root
@pytest.mark.parametrize("kind", chosen(_KINDS, "append"))
async def test_a_full_disk_of_arrow_files_refuses_and_loses_nothing(
    cases: Cases, kind: str
) -> None:
    async with cases.case(f"disk of the series full, {kind}", "arrow") as world:
        series = world.folder / "dataset" / "series"
        with small_disk(series, "16m"):
            async with world.started():
                await world.has(world.first_import())
                request = await world.next(kind)
                async with world.reading():
                    with filled(series, leaving=4096):
                        answer = await world.here.attempt(request)
                        assert isinstance(answer, Exhausted)
                        assert answer.reason == "DISK_FULL"
                    await world.recovered(request, answer, kind=kind)


@needs_root
@pytest.mark.parametrize("kind", chosen(_KINDS, "import"))
async def test_a_full_disk_of_uploads_refuses_and_loses_nothing(cases: Cases, kind: str) -> None:
    async with cases.case(f"disk of the uploads full, {kind}", "arrow") as world:
        everything = world.folder / "dataset"
        with small_disk(everything, "16m"), small_disk(everything / "series", "16m"):
            async with world.started():
                await world.has(world.first_import())
                request = await world.next(kind)
                async with world.reading():
                    with filled(everything, leaving=4096):
                        answer = await world.here.attempt(request)
                        assert isinstance(answer, Exhausted)
                        assert answer.reason == "DISK_FULL"
                    await world.recovered(request, answer, kind=kind)


@needs_root
@pytest.mark.timeout(600)
@pytest.mark.parametrize("kind", chosen(_KINDS))
async def test_a_full_disk_of_questdb_refuses_and_loses_nothing(
    cases: Cases, kind: str, tmp_path: Path
) -> None:
    folder = tmp_path / "questdb"
    with small_disk(folder, "512m"), killable_questdb(folder) as server:
        own = cases.on(server)
        async with own.case(f"disk of QuestDB full, {kind}", "questdb") as world, world.started():
            await world.has(world.first_import())
            request = await world.next(kind)
            async with world.reading():
                with filled(folder, leaving=64 << 10):
                    answer = await world.here.attempt(request)
                    assert isinstance(answer, Stage1Error)
                await world.recovered(request, answer, kind=kind)
