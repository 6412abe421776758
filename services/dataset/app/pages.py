"""Pages of what is read one by one: bounded in number and in bytes, with one in any case."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Generic, NamedTuple, Protocol, TypeVar


class Weighed(Protocol):
    @property
    def max_message_bytes(self) -> int: ...


Item = TypeVar("Item", bound=Weighed)


class Page(NamedTuple, Generic[Item]):
    items: Sequence[Item]
    more: bool


async def filled(found: AsyncGenerator[Item], *, size: int, size_bytes: int) -> Page[Item]:
    """No more are read than the page takes, and the one that shows there are more."""
    items: list[Item] = []
    left = size_bytes
    async with aclosing(found):
        async for item in found:
            left -= item.max_message_bytes
            if len(items) == size or (items and left < 0):
                return Page(items, True)
            items.append(item)
    return Page(items, False)
