"""One dataset service for each module of tests."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.integration.dataset.client import Client, dataset_service


@pytest.fixture(scope="module")
async def client(dsn: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Client]:
    async with dataset_service(dsn, tmp_path_factory.mktemp("data")) as running:
        yield running
