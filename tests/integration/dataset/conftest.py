"""A dataset service, or its catalogue alone, for each module of tests."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from services.shared import postgres
from services.shared.migrate import migrate
from services.shared.postgres import Pool
from tests.integration.dataset.client import Client, dataset_service


@pytest.fixture(scope="module")
async def client(dsn: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Client]:
    async with dataset_service(dsn, tmp_path_factory.mktemp("data")) as running:
        yield running


@pytest.fixture(scope="module")
async def migrated(dsn: str) -> AsyncIterator[Pool]:
    """Connections to a catalogue without a service."""
    async with postgres.pool(dsn) as pool:
        await migrate(pool, schema="dataset", package="services.dataset.storage")
        yield pool
