"""Imports as people ask for them: what was wanted, and what became of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple
from uuid import UUID

from services.dataset.domain.catalogue import ImportKind, ImportState


@dataclass(frozen=True, kw_only=True)
class ImportRecord:
    """`version` is the one it was to become, from LOADING on."""

    import_id: UUID
    kind: ImportKind
    slug: str
    state: ImportState
    error: str
    version: int | None
    created_at_ms: int
    updated_at_ms: int

    @property
    def max_message_bytes(self) -> int:
        return 200 + len(self.slug) + len(self.error.encode())


class ImportCursor(NamedTuple):
    """The last import of the page before."""

    created_at_ms: int
    import_id: UUID


@dataclass(frozen=True, kw_only=True)
class ImportListing:
    """Newest first; a page ends before it is over `page_bytes`, but has one import in any case."""

    slug: str | None = None
    state: ImportState | None = None
    after: ImportCursor | None = None
    page_size: int = 50
    page_bytes: int = 3 << 20


@dataclass(frozen=True, kw_only=True)
class VersionListing:
    """Versions below `before`, newest first, in pages as those of imports."""

    before: int | None = None
    page_size: int = 50
    page_bytes: int = 3 << 20
