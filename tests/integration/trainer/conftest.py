"""One set of workers for the session: importing XGBoost costs seconds."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from services.trainer.worker import Workers


@pytest.fixture(scope="session")
async def workers() -> AsyncIterator[Workers]:
    workers = Workers(slots=1, threads=2, device=None)
    await workers.start()
    yield workers
    await workers.stop()
