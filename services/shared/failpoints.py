"""Places where tests make a process die, fail or wait.

Nothing can be armed in what is shipped: `reach` asks `_armed`, and only the
programs under tests/faults put anything there.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

Trap = Callable[[str], Awaitable[None]]

_armed: Final[list[Trap]] = []


async def reach(name: str) -> None:
    """The process has come to this place: `<use case>.<step>`, as `append.merged`."""
    for trap in _armed:
        await trap(name)


def arm(trap: Trap) -> None:
    """For test programs."""
    _armed.append(trap)
