"""How far each import and append came. Every step is a compare-and-set on its own row, so
that a process which was paused and overtaken changes nothing when it wakes."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from psycopg.types.json import Jsonb

from services.dataset.domain.catalogue import (
    AppendUnderWay,
    Attempt,
    BlockHashes,
    ImportKind,
    ImportOvertaken,
    ImportState,
    Intent,
    Publication,
    states_before,
)
from services.dataset.domain.manifest import Manifest
from services.dataset.domain.names import measurements
from services.dataset.storage.answers import AnswerRows
from services.dataset.storage.intents import intent_of, intent_to_json
from services.dataset.storage.rows import named, tables_in, unknown


class AttemptRows(AnswerRows):
    async def receive(self, import_id: UUID, kind: ImportKind, slug: str, owner: UUID) -> None:
        values = {"import_id": import_id, "kind": kind.value, "slug": slug, "owner": owner}
        await self._do("insert_import", values)

    async def move(self, import_id: UUID, state: ImportState) -> None:
        if not await self._do("move_import", _moved(import_id, state)):
            raise _ended(import_id)

    async def end(self, import_id: UUID, state: ImportState, error: str) -> Sequence[str]:
        # A file's bytes may be quoted in the error; PostgreSQL has no text with NUL.
        values = _moved(import_id, state) | {"error": error.replace("\0", "?")}
        return tables_in(await self._all("end_import", values))

    async def clean(self, import_id: UUID) -> None:
        await self._do("move_import", _moved(import_id, ImportState.CLEANED))
        await self._do("forget_import", {"import_id": import_id})

    async def reserve(self, import_id: UUID, slug: str, *, indicators: bool) -> Attempt:
        row = await self._one("reserve_attempt", {"slug": slug})
        assert row is not None
        tables = measurements(slug, row["version"], row["attempt"])
        attempt = Attempt(row["version"], tables.ohlcv, tables.indicators if indicators else None)
        values = attempt._asdict() | {"import_id": import_id, "attempt": row["attempt"]}
        if not await self._do("load_import", values):
            raise _ended(import_id)
        return attempt

    async def intend(self, publication: Publication) -> None:
        manifest = publication.manifest
        slug = {"slug": manifest.dataset_slug}
        row = await self._one("lock_slug", slug)  # as a publication does: they go one by one
        if row is None or row["last_version"] != manifest.version - 1:
            raise overtaken(manifest)
        if await self._one("lock_dataset", named(manifest.dataset_id)) is None:
            raise unknown(manifest.dataset_id)
        if await self._one("list_intents", slug) is not None:
            raise AppendUnderWay(
                f"Another append to {manifest.dataset_slug} is being merged: try again shortly."
            )
        intent = Jsonb(intent_to_json(publication))
        values = {"import_id": publication.import_id, "intent": intent}
        if not await self._do("intend_import", values):
            raise _ended(publication.import_id)
        await self._promise_answer(publication)

    async def intents(self, slug: str | None = None) -> Sequence[Intent]:
        rows = await self._all("list_intents", {"slug": slug})
        return await asyncio.to_thread(lambda: [intent_of(row) for row in rows])

    async def block_hashes(self, dataset_id: UUID, version: int) -> BlockHashes:
        values = {"dataset_id": dataset_id, "version": version}
        row = await self._one("find_block_hashes", values)
        if row is None:
            raise unknown(dataset_id, version)
        return BlockHashes(row["ohlcv_block_hashes"], row["indicator_block_hashes"])

    async def in_flight(self, owner: UUID) -> Sequence[UUID]:
        rows = await self._all("list_imports_of_owner", {"owner": owner})
        return [row["import_id"] for row in rows]

    async def abandon(self, error: str, import_ids: Sequence[UUID] | None) -> int:
        ids = None if import_ids is None else list(import_ids)
        return await self._do("abandon_imports", {"error": error, "import_ids": ids})

    async def published(self, running: Sequence[UUID]) -> Sequence[UUID]:
        rows = await self._all("list_published_imports", {"running": list(running)})
        return [row["import_id"] for row in rows]

    async def tables_of_the_dead(self, tables: Sequence[str]) -> Sequence[str]:
        found = tables_in(await self._all("tables_of_the_dead", {"tables": list(tables)}))
        return sorted(set(found) & set(tables))


def overtaken(manifest: Manifest) -> ImportOvertaken:
    return ImportOvertaken(
        f"Another import became version {manifest.version} of {manifest.dataset_slug} first."
    )


def _moved(import_id: UUID, state: ImportState) -> dict[str, Any]:
    after = [before.value for before in states_before(state)]
    return {"import_id": import_id, "state": state.value, "after": after}


def _ended(import_id: UUID) -> ImportOvertaken:
    return ImportOvertaken(f"Import {import_id} was ended while it was under way.")
