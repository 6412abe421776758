from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from services.shared.series.arrow_files import ArrowFiles, arrow_files


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("series")


@pytest.fixture(scope="module")
async def store(root: Path) -> AsyncIterator[ArrowFiles]:
    async with arrow_files(root) as opened:
        yield opened
