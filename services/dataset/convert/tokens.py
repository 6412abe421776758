"""Page tokens: the last one of the page before, by its time and its id."""

from __future__ import annotations

import base64
from typing import Final
from uuid import UUID

from services.dataset.convert.checks import Checks

_BIGINT: Final = 2**63


def page_token(created_at_ms: int, id_: UUID) -> str:
    return base64.urlsafe_b64encode(f"{created_at_ms} {id_}".encode()).decode()


def after_token(checks: Checks, token: str) -> tuple[int, UUID] | None:
    if not token:
        return None
    try:
        number, id_ = base64.urlsafe_b64decode(token).decode().split(" ")
        found = int(number), UUID(id_)
    except ValueError:
        found = None
    if found is None or abs(found[0]) >= _BIGINT:
        checks.refuse("page_token", "is none that was given out")
    return found
