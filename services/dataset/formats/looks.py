"""What blocks of a column show, gathered so that a decision is made over all of it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

import numpy as np

from services.dataset.formats.refusal import Int64s, Mask


@dataclass
class Look:
    """Rows counted by what they are, and the least and largest of what they hold."""

    counts: Counter[str] = field(default_factory=Counter)
    ranges: dict[str, tuple[int, int]] = field(default_factory=dict)

    def count(self, what: str, rows: Mask | int) -> None:
        self.counts[what] += rows if isinstance(rows, int) else int(np.count_nonzero(rows))

    def range(self, what: str, values: Int64s) -> None:
        if len(values):
            self._extend(what, (int(values.min()), int(values.max())))

    def add(self, other: Look) -> None:
        self.counts.update(other.counts)
        for what, limits in other.ranges.items():
            self._extend(what, limits)

    def most(self, what: str) -> bool:
        return 2 * self.counts[what] > self.counts["rows"]

    def all(self, what: str) -> bool:
        return self.counts[what] == self.counts["rows"]

    def _extend(self, what: str, limits: tuple[int, int]) -> None:
        known = self.ranges.get(what, limits)
        self.ranges[what] = (min(known[0], limits[0]), max(known[1], limits[1]))
