"""The time, as something that can be handed over."""

from __future__ import annotations

import time
from collections.abc import Callable

Clock = Callable[[], int]
"""Gives the time now in UTC milliseconds since the epoch."""


def system_clock() -> int:
    return time.time_ns() // 1_000_000
