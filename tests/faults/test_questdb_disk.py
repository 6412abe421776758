"""The disk of QuestDB is full. It needs a server of its own: for `make faults` only."""

from __future__ import annotations

from pathlib import Path

import pytest

from services.shared.errors import Stage1Error
from tests.faults.cases import Cases
from tests.faults.house import house
from tests.faults.servers import filled, killable_questdb, needs_root, small_disk


@needs_root
@pytest.mark.timeout(600)
@pytest.mark.parametrize("kind", ["import", "append"])
async def test_a_full_disk_of_questdb_refuses_and_loses_nothing(
    cases: Cases, kind: str, tmp_path: Path
) -> None:
    fault, folder = f"disk of QuestDB full, {kind}", tmp_path / "questdb"
    with small_disk(folder, "512m"), killable_questdb(folder) as server:
        async with house(tmp_path, cases.postgres, server) as own:
            await own.start()
            async with cases.case(fault, "questdb", own) as world:
                request = await world.next(kind)
                with filled(folder, leaving=64 << 10):
                    answer = await world.here.attempt(request)
                assert isinstance(answer, Stage1Error)
                await world.recovered(request, answer, kind=kind)
