"""What is not as it should be, told: the first places by name, all of them by count."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from services.dataset.domain.times import Times, iso, outside_years

NAMED: Final = 20


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing that is not as it should be; `subject` is the table, slug or column."""

    reason: str
    message: str
    subject: str


class Places:
    """Times at which something is wrong: all are counted, the first are named."""

    def __init__(self) -> None:
        self.count = 0
        self._first: list[int] = []

    def __bool__(self) -> bool:
        return self.count > 0

    def add(self, times: Times) -> None:
        self.count += len(times)
        self._first += times[: NAMED - len(self._first)].tolist()

    def told(self, what: str) -> str:
        named = ", ".join(map(told_time, self._first))
        more = f" and {self.count - len(self._first)} more" if self.count > NAMED else ""
        return f"{self.count} {what} ({named}{more})"


def told_time(ms: int) -> str:
    """Also of times that are none of ours."""
    return f"{ms} ms" if outside_years(np.array([ms]))[0] else iso(ms)
