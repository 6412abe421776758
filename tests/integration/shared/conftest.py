"""A store on the QuestDB of the session, and slices of it small enough for tests."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from services.shared.series import SeriesStore
from services.shared.series.questdb import memory, questdb_store


@pytest.fixture
async def store(questdb_server: str) -> AsyncIterator[SeriesStore]:
    async with questdb_store(questdb_server) as opened:
        yield opened


@pytest.fixture
def small_slices(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that a few thousand rows are many slices."""
    monkeypatch.setattr(memory, "SLICE_BYTES", 16 << 10)
    monkeypatch.setattr(memory, "LEAST_SLICE_BYTES", 16 << 10)
