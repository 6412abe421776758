"""Work on pieces in threads, a few ahead, with the results in order."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from functools import cache
from typing import Final, TypeVar

_WORKERS: Final = 2
_AHEAD: Final = 3

Piece = TypeVar("Piece")
Done = TypeVar("Done")


def in_order(work: Callable[[Piece], Done], pieces: Iterable[Piece]) -> Iterator[Done]:
    """Holds as many pieces and results as are ahead. Its work has ended when it is closed."""
    waiting: deque[Future[Done]] = deque()
    try:
        for piece in pieces:
            waiting.append(_pool().submit(work, piece))
            if len(waiting) == _AHEAD:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        wait([future for future in waiting if not future.cancel()])


@cache
def _pool() -> ThreadPoolExecutor:
    """One for all files: new threads have new heaps, and what a dead one held is not given back."""
    return ThreadPoolExecutor(_WORKERS, thread_name_prefix="formats")
