from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from services.shared.series import SeriesStore
from services.shared.series.questdb import questdb_store
from tests.contract.series_store import SeriesStoreContract


@pytest.fixture
async def store(questdb_server: str) -> AsyncIterator[SeriesStore]:
    async with questdb_store(questdb_server) as opened:
        yield opened


class TestQuestdb(SeriesStoreContract):
    pass
