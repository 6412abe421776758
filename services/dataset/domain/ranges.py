"""Half-open ranges of rows and of times."""

from __future__ import annotations

from dataclasses import dataclass

from services.shared.errors import InvalidRequest, Violation


@dataclass(frozen=True)
class Rows:
    start: int
    end: int

    def within(self, count: int) -> Rows:
        """Itself; raises InvalidRequest unless it lies within a table of `count` rows."""
        if 0 <= self.start <= self.end <= count:
            return self
        rule = f"and the table has the rows [0, {count})"
        raise InvalidRequest(
            [Violation("indices", f"is [{self.start}, {self.end}), {rule}")], reason="OUT_OF_RANGE"
        )


@dataclass(frozen=True)
class Times:
    start_ms: int
    end_ms: int
