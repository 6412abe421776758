"""The one transaction that makes a version visible, and the answers that are kept by key."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from psycopg.types.json import Jsonb

from services.dataset.domain.catalogue import (
    Dataset,
    ImportKind,
    ImportState,
    KeyReused,
    Publication,
    Published,
    Repeatable,
    Report,
    slug_taken,
)
from services.dataset.domain.events import EventKind
from services.dataset.domain.manifest import Manifest, to_json
from services.dataset.storage.attempts import AttemptRows, overtaken
from services.dataset.storage.events import EventRows
from services.dataset.storage.rows import dataset_of, named, report_of, unknown


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
        if publication.repeatable:
            await self.keep_answer(publication.repeatable, manifest, publication.report)
        await self.note(EventKind.PUBLISHED, manifest.dataset_id)
        row = await self._one("find_dataset", named(manifest.dataset_id) | {"version": None})
        assert row is not None
        return dataset_of(row, manifest)  # not by way of what is kept: the COMMIT may fail

    async def _put_dataset(self, publication: Publication) -> None:
        manifest = publication.manifest
        values = {
            "dataset_id": manifest.dataset_id,
            "slug": manifest.dataset_slug,
            "symbol": manifest.symbol,
            "granularity": manifest.granularity,
            "source": manifest.source,
            "metadata": Jsonb(publication.metadata),
            "version": manifest.version,
        }
        if publication.is_new:
            if not await self._do("insert_dataset", values):
                raise slug_taken(manifest.dataset_slug)
            return
        grows = publication.kind is ImportKind.APPEND
        if not await self._do("grow_dataset" if grows else "advance_dataset", values):
            raise unknown(manifest.dataset_id)

    async def keep_answer(self, repeatable: Repeatable, manifest: Manifest, report: Report) -> None:
        values = {
            "key": repeatable.key,
            "body_sha256": repeatable.body_sha256,
            "dataset_id": manifest.dataset_id,
            "version": manifest.version,
            "report": Jsonb(asdict(report)),
        }
        if not await self._do("insert_answer", values):
            raise _reused(repeatable.key)

    async def answer(self, repeatable: Repeatable) -> Published | None:
        row = await self._one("find_answer", {"key": repeatable.key})
        if row is None:
            return None
        if row["body_sha256"] != repeatable.body_sha256:
            raise _reused(repeatable.key)
        found = await self._one("find_published", row)
        assert found is not None
        manifest = await self._manifest(row["dataset_id"], row["version"])
        return Published(dataset=dataset_of(found, manifest), report=report_of(row["report"]))

    async def knows_key(self, key: str) -> bool:
        return await self._one("find_answer", {"key": key}) is not None

    async def forget_answers(self) -> None:
        await self._do("forget_answers", {})


def _reused(key: str) -> KeyReused:
    return KeyReused(f"The idempotency key {key!r} was used with another body before.")


def _version_row(publication: Publication) -> Mapping[str, Any]:
    plain = to_json(publication.manifest)
    return plain | {
        "manifest": Jsonb(plain),
        "ohlcv_block_hashes": publication.ohlcv_block_hashes,
        "indicator_block_hashes": publication.indicator_block_hashes,
    }
