"""Times and tables of bars for the tests of the dataset service."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np
import polars as pl

from services.dataset.domain.sessions import Sessions
from services.dataset.domain.times import HOUR_MS, Times

EXAMPLES: Final = Path(__file__).parents[3] / "examples"
MONDAY: Final = 1_704_067_200_000  # 2024-01-01T00:00:00Z


def hourly(count: int, first: int = MONDAY) -> Times:
    return first + HOUR_MS * np.arange(count, dtype=np.int64)


def eurusd_2017() -> Times:
    bars = pl.read_csv(EXAMPLES / "eurusd_1h_2017_ask.csv", columns=["Time"])
    times = bars["Time"].str.to_datetime("%d.%m.%Y %H:%M:%S%.3f", time_unit="ms")
    return times.dt.epoch("ms").to_numpy()


def no_exchange(code: str, first_ms: int, last_ms: int) -> Sessions:
    return Sessions.none()
