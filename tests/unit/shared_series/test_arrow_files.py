from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from services.shared.series.arrow_files import ArrowFiles, arrow_files
from tests.contract.series_store import SeriesStoreContract


@pytest.fixture(scope="module")
async def store(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[ArrowFiles]:
    async with arrow_files(tmp_path_factory.mktemp("series")) as opened:
        yield opened


class TestArrowFiles(SeriesStoreContract):
    pass
