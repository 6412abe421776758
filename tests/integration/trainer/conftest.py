"""One set of workers for the session: importing XGBoost costs seconds."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest

from services.trainer.domain import Capabilities
from services.trainer.worker import Workers


@dataclass(frozen=True)
class Started:
    workers: Workers
    capabilities: Capabilities


@pytest.fixture(scope="session")
async def started() -> AsyncIterator[Started]:
    workers = Workers(slots=1, threads=2, device=None)
    capabilities = await workers.start()
    yield Started(workers, capabilities)
    await workers.stop()


@pytest.fixture
def workers(started: Started) -> Workers:
    return started.workers
