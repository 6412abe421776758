"""How datasets came to be what they are: their versions, and the imports that made them."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from typing import Any
from uuid import UUID

from services.dataset.domain.catalogue import ImportKind, ImportState
from services.dataset.domain.imports import ImportListing, ImportRecord, VersionListing
from services.dataset.domain.manifest import Manifest
from services.dataset.storage.statements import Statements
from services.shared.errors import NotFound


class HistoryRows(Statements):
    async def manifests(
        self, dataset_id: UUID, listing: VersionListing
    ) -> AsyncGenerator[Manifest]:
        values = {
            "dataset_id": dataset_id,
            "before": listing.before,
            "limit": listing.page_size + 1,
        }
        for row in await self._all("list_versions_before", values):
            yield await self._manifest(dataset_id, row["version"])

    async def imports(self, listing: ImportListing) -> AsyncGenerator[ImportRecord]:
        after_ms, after_id = listing.after or (None, None)
        values = {
            "slug": listing.slug,
            "state": None if listing.state is None else listing.state.value,
            "after_ms": after_ms,
            "after_id": after_id,
            "limit": listing.page_size + 1,
        }
        for row in await self._all("list_imports", values):
            yield _import(row)

    async def import_(self, import_id: UUID) -> ImportRecord:
        row = await self._one("find_import", {"import_id": import_id})
        if row is None:
            raise NotFound(f"There is no import {import_id}.")
        return _import(row)


def _import(row: Mapping[str, Any]) -> ImportRecord:
    return ImportRecord(
        **{**row, "kind": ImportKind(row["kind"]), "state": ImportState(row["state"])}
    )
