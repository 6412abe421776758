"""How many uploads lie on the disk at a time, whatever they are for."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from services.shared.errors import Exhausted


class TooManyImports(Exhausted):
    reason = "TOO_MANY_IMPORTS"


class Places:
    """One is taken before the first byte of an upload; nobody waits for one."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._taken = 0

    @contextmanager
    def one(self) -> Iterator[None]:
        if self._taken >= self._limit:
            raise TooManyImports(
                f"{self._taken} uploads are under way, and no more fit: try again shortly."
            )
        self._taken += 1
        try:
            yield
        finally:
            self._taken -= 1
