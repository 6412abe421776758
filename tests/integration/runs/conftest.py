"""One runs service, with the real dataset service, for each module of tests."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import pytest

from tests.integration.dataset.client import Client as DatasetClient
from tests.integration.runs.house import Service, dataset_service, published, runs_service


@dataclass(frozen=True, kw_only=True)
class Owner:
    """The dataset service, and what another runs service needs to reach the same things."""

    client: DatasetClient
    port: int
    dsn: str
    data_dir: Path


@pytest.fixture(scope="module")
async def owner(dsn: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Owner]:
    data_dir = tmp_path_factory.mktemp("data")
    async with dataset_service(dsn, data_dir) as (client, port):
        yield Owner(client=client, port=port, dsn=dsn, data_dir=data_dir)


@pytest.fixture(scope="module")
async def service(owner: Owner) -> AsyncIterator[Service]:
    async with runs_service(owner.dsn, owner.data_dir, owner.port) as running:
        yield running


@pytest.fixture(scope="module")
async def dataset(owner: Owner) -> str:
    """Its slug: 1,609 indicator rows with two features and one target."""
    slug = f"d{uuid4().hex[:10]}"
    await published(owner.client, slug)
    return slug
