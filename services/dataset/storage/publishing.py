"""The one transaction that makes a version visible."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from psycopg.types.json import Jsonb

from services.dataset.domain.catalogue import (
    Dataset,
    ImportState,
    Publication,
    slug_taken,
)
from services.dataset.domain.events import EventKind
from services.dataset.domain.manifest import to_json
from services.dataset.storage.attempts import AttemptRows, overtaken
from services.dataset.storage.events import EventRows
from services.dataset.storage.rows import dataset_of, named, unknown


class PublishingRows(AttemptRows, EventRows):
    async def publish(self, publication: Publication) -> Dataset:
        """Locks the slug, the dataset and the import, in this order, and the events last."""
        manifest = publication.manifest
        names = {"slug": manifest.dataset_slug, "version": manifest.version}
        if not await self._do("advance_slug", names):
            raise overtaken(manifest)
        await self._put_dataset(publication)
        await self.move(publication.import_id, ImportState.PUBLISHED)
        # The intent of an append to the version before: its tables are no longer the newest.
        await self._do("abandon_intent", {**names, "error": str(overtaken(manifest))})
        await self._do("insert_version", _version_row(publication))
        await self._give_answer(publication)
        await self.note(EventKind.PUBLISHED, manifest.dataset_id)
        row = await self._one("find_dataset", named(manifest.dataset_id) | {"version": None})
        assert row is not None
        return dataset_of(row, manifest)  # not by way of what is kept: the COMMIT may fail

    async def _put_dataset(self, publication: Publication) -> None:
        manifest, metadata = publication.manifest, publication.said.metadata
        values = {
            "dataset_id": manifest.dataset_id,
            "slug": manifest.dataset_slug,
            **publication.said._asdict(),
            "metadata": None if metadata is None else Jsonb(metadata),
            "version": manifest.version,
        }
        if publication.is_new:
            if not await self._do("insert_dataset", values):
                raise slug_taken(manifest.dataset_slug)
            return
        if not await self._do("advance_dataset", values):
            raise unknown(manifest.dataset_id)


def _version_row(publication: Publication) -> Mapping[str, Any]:
    plain = to_json(publication.manifest)
    return plain | {
        "manifest": Jsonb(plain),
        "ohlcv_block_hashes": publication.ohlcv_block_hashes,
        "indicator_block_hashes": publication.indicator_block_hashes,
    }
