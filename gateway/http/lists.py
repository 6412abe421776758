"""Lists of services, page by page, so that no message grows with what a caller asks for."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final, Protocol, TypeVar

PAGE: Final = 100

Answer = TypeVar("Answer", bound="Paged")
Item = TypeVar("Item")


class Paged(Protocol):
    @property
    def next_page_token(self) -> str: ...


async def collect(
    ask: Callable[[int, str, int], Awaitable[Answer]],
    items_of: Callable[[Answer], list[Item]],
    *,
    limit: int | None = None,
    page_token: str = "",
    offset: int = 0,
) -> tuple[list[Item], str]:
    """Up to `limit` items by `ask(page_size, page_token, skip)`, and the token of what follows."""
    found: list[Item] = []
    while limit is None or len(found) < limit:
        size = PAGE if limit is None else min(PAGE, limit - len(found))
        answer = await ask(size, page_token, offset)
        found += items_of(answer)
        page_token, offset = answer.next_page_token, 0
        if not page_token:
            break
    return found, page_token
