"""The versions of a dataset, and the imports that made them."""

from __future__ import annotations

from uuid import UUID

from services.dataset.app.pages import Page, filled
from services.dataset.domain.imports import ImportListing, ImportRecord, VersionListing
from services.dataset.domain.manifest import Manifest
from services.dataset.storage.protocol import Catalogue


class History:
    def __init__(self, *, catalogue: Catalogue) -> None:
        self._catalogue = catalogue

    async def versions(self, name: UUID | str, listing: VersionListing) -> Page[Manifest]:
        async with self._catalogue.transaction() as catalogue:
            dataset = await catalogue.dataset(name)
            found = catalogue.manifests(dataset.dataset_id, listing)
            return await filled(found, size=listing.page_size, size_bytes=listing.page_bytes)

    async def imports(self, listing: ImportListing) -> Page[ImportRecord]:
        async with self._catalogue.transaction() as catalogue:
            found = catalogue.imports(listing)
            return await filled(found, size=listing.page_size, size_bytes=listing.page_bytes)

    async def import_(self, import_id: UUID) -> ImportRecord:
        async with self._catalogue.transaction() as catalogue:
            return await catalogue.import_(import_id)
