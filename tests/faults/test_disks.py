"""A disk is full: of the series store, of the uploads."""

from __future__ import annotations

from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from services.shared.errors import Exhausted, Stage1Error
from tests.faults.cases import Cases, chosen
from tests.faults.house import house
from tests.faults.servers import filled, needs_root, small_disk

_KINDS = ("import", "append")


@needs_root
async def test_a_disk_that_is_full_when_an_append_is_merged_only_delays_it(
    cases: Cases, tmp_path: Path
) -> None:
    """It has its intent: from there on it goes forward, and nobody may say that it will not."""
    place = "append.intended"
    async with house(tmp_path, cases.postgres) as own:
        everything = own.folder / "dataset"
        series = everything / "series"
        with small_disk(everything, "16m"), small_disk(series, "16m"):
            await own.start()
            async with cases.case(f"disk of the series full at {place}", "arrow", own) as world:
                async with AsyncExitStack() as stack:
                    async with world.held_at(place) as held:
                        stack.enter_context(filled(series, leaving=4096))
                    answer = await held.asked.answer
                assert isinstance(answer, Stage1Error)
                await world.recovered(held.request, answer, kind="append")


@needs_root
@pytest.mark.parametrize("kind", chosen(_KINDS, "append"))
@pytest.mark.parametrize("full", chosen(("series", "spool"), "series"))
async def test_a_full_disk_refuses_and_loses_nothing(
    cases: Cases, kind: str, full: str, tmp_path: Path
) -> None:
    fault = f"disk of the {full} full, {kind}"
    async with house(tmp_path, cases.postgres) as own:
        everything = own.folder / "dataset"
        folder = everything / "series" if full == "series" else everything
        with small_disk(everything, "16m"), small_disk(everything / "series", "16m"):
            await own.start()
            async with cases.case(fault, "arrow", own) as world:
                request = await world.next(kind)
                with filled(folder, leaving=4096):
                    answer = await world.here.attempt(request)
                assert isinstance(answer, Exhausted)
                assert answer.reason == "DISK_FULL"
                await world.recovered(request, answer, kind=kind)
