"""UUIDs in requests: written with their hyphens, in either case.

Python also takes 32 digits without any. Of those some are slugs of datasets, which have letters,
digits and underscores only: with hyphens a name is a UUID or a slug, never both.
"""

from __future__ import annotations

import re
from typing import Final
from uuid import UUID

_FORM: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII | re.IGNORECASE)


def uuid_of(text: str) -> UUID | None:
    """None of what is none."""
    return UUID(text) if _FORM.fullmatch(text) else None
