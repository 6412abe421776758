"""The catalogue on PostgreSQL."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict
from typing import Any
from uuid import UUID

from psycopg.types.json import Jsonb

from services.dataset.domain.catalogue import (
    Attempt,
    Dataset,
    ImportOvertaken,
    ImportState,
    KeyReused,
    Listing,
    Publication,
    Published,
    Repeatable,
    Report,
    slug_taken,
    states_before,
)
from services.dataset.domain.events import EventKind
from services.dataset.domain.manifest import Manifest, to_json
from services.dataset.domain.names import measurements
from services.dataset.storage.events import EventRows
from services.dataset.storage.history import HistoryRows
from services.dataset.storage.manifests import Manifests
from services.shared.clock import Clock
from services.shared.errors import NotFound
from services.shared.postgres import Pool, transaction


class PostgresCatalogue:
    """`on_events` is called after the COMMIT of every transaction that noted an event."""

    def __init__(
        self, pool: Pool, clock: Clock, on_events: Callable[[], None] = lambda: None
    ) -> None:
        self._pool = pool
        self._clock = clock
        self._on_events = on_events
        self.manifests = Manifests()

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[PostgresTransaction]:
        async with transaction(self._pool) as connection:
            begun = PostgresTransaction(connection, self._clock(), self.manifests)
            yield begun
        if begun.has_events:
            self._on_events()


class PostgresTransaction(EventRows, HistoryRows):
    async def dataset(self, name: UUID | str, version: int | None = None) -> Dataset:
        row = await self._one("find_dataset", _named(name) | {"version": version})
        if row is None:
            raise NotFound(_unknown(name, version))
        return await self._dataset(row)

    async def exists(self, slug: str) -> bool:
        return await self._one("find_dataset", _named(slug) | {"version": None}) is not None

    async def datasets(self, listing: Listing) -> AsyncGenerator[Dataset]:
        pattern = None if listing.text is None else f"%{_escaped(listing.text)}%"
        after_ms, after_id = listing.after or (None, None)
        values = {
            "symbol": listing.symbol,
            "granularity": listing.granularity,
            "pattern": pattern,
            "after_ms": after_ms,
            "after_id": after_id,
            "skip": listing.skip,
            "limit": listing.page_size + 1,
        }
        for row in await self._all("list_datasets", values):
            yield await self._dataset(row)

    async def versions(self, dataset_id: UUID) -> Sequence[int]:
        rows = await self._all("list_versions", {"dataset_id": dataset_id})
        return [row["version"] for row in rows]

    async def lock(self, name: UUID | str) -> UUID:
        row = await self._one("lock_dataset", _named(name))
        if row is None:
            raise NotFound(_unknown(name, None))
        dataset_id: UUID = row["dataset_id"]
        return dataset_id

    async def describe(self, dataset: Dataset) -> Dataset:
        values = {
            "dataset_id": dataset.dataset_id,
            "symbol": dataset.symbol,
            "granularity": dataset.granularity,
            "source": dataset.source,
            "metadata": Jsonb(dataset.metadata),
        }
        await self._do("update_dataset", values)
        await self.note(EventKind.UPDATED, dataset.dataset_id)
        return await self.dataset(dataset.dataset_id)

    async def pin(self, dataset_id: UUID, version: int, holder: str) -> None:
        values = {"dataset_id": dataset_id, "version": version, "holder": holder}
        await self._do("insert_pin", values)

    async def unpin(self, holder: str) -> None:
        await self._do("delete_pins_of_holder", {"holder": holder})

    async def holders(self, dataset_id: UUID) -> Sequence[str]:
        rows = await self._all("list_pins", {"dataset_id": dataset_id})
        return [row["holder"] for row in rows]

    async def bury(self, dataset_id: UUID) -> Sequence[str]:
        values = {"dataset_id": dataset_id}
        await self._do("delete_pins_of_dataset", values)
        await self._do("bury_dataset", values)
        return _tables(await self._all("tables_of_dataset", values))

    async def receive(self, import_id: UUID, slug: str) -> None:
        await self._do("insert_import", {"import_id": import_id, "slug": slug})

    async def move(self, import_id: UUID, state: ImportState) -> None:
        if not await self._do("move_import", _moved(import_id, state)):
            raise _overtaken(import_id)

    async def end(self, import_id: UUID, state: ImportState, error: str) -> Sequence[str]:
        # A file's bytes may be quoted in the error; PostgreSQL has no text with NUL.
        values = _moved(import_id, state) | {"error": error.replace("\0", "?")}
        return _tables(await self._all("end_import", values))

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
            raise _overtaken(import_id)
        return attempt

    async def publish(self, publication: Publication) -> Dataset:
        manifest = publication.manifest
        names = {"slug": manifest.dataset_slug, "version": manifest.version}
        if not await self._do("advance_slug", names):
            raise ImportOvertaken(
                f"Another import became version {manifest.version} of "
                f"{manifest.dataset_slug} first."
            )
        await self.move(publication.import_id, ImportState.PUBLISHED)
        await self._put_dataset(publication)
        await self._do("insert_version", _version_row(publication))
        if publication.repeatable:
            await self._put_answer(publication, publication.repeatable)
        await self.note(EventKind.PUBLISHED, manifest.dataset_id)
        row = await self._one("find_dataset", _named(manifest.dataset_id) | {"version": None})
        assert row is not None
        return _dataset(row, manifest)  # not by way of what is kept: the COMMIT may fail

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
        elif not await self._do("advance_dataset", values):
            raise NotFound(_unknown(manifest.dataset_id, None))

    async def _put_answer(self, publication: Publication, repeatable: Repeatable) -> None:
        values = {
            "key": repeatable.key,
            "body_sha256": repeatable.body_sha256,
            "dataset_id": publication.manifest.dataset_id,
            "version": publication.manifest.version,
            "report": Jsonb(asdict(publication.report)),
        }
        if not await self._do("insert_answer", values):
            raise _reused(repeatable.key)

    async def answer(self, repeatable: Repeatable) -> Published | None:
        row = await self._one("find_answer", {"key": repeatable.key})
        if row is None:
            return None
        if row["body_sha256"] != repeatable.body_sha256:
            raise _reused(repeatable.key)
        dataset = await self._one("find_published", row)
        assert dataset is not None
        return Published(dataset=await self._dataset(dataset), report=_report(row["report"]))

    async def knows_key(self, key: str) -> bool:
        return await self._one("find_answer", {"key": key}) is not None

    async def tables_of_the_dead(self) -> Sequence[str]:
        return _tables(await self._all("tables_of_the_dead", {}))

    async def settle_imports(self) -> None:
        for statement in ("abandon_imports_in_flight", "clean_published_imports", "forget_answers"):
            await self._do(statement, {})

    async def _dataset(self, row: Mapping[str, Any]) -> Dataset:
        """Whether it is there is always asked."""
        return _dataset(row, await self._manifest(row["dataset_id"], row["version"]))


def _named(name: UUID | str) -> dict[str, Any]:
    by_id = isinstance(name, UUID)
    return {"dataset_id": name if by_id else None, "slug": None if by_id else name}


def _unknown(name: UUID | str, version: int | None) -> str:
    which = f"version {version} of a dataset" if version else "dataset"
    return f"There is no {which} {name}."


def _moved(import_id: UUID, state: ImportState) -> dict[str, Any]:
    after = [before.value for before in states_before(state)]
    return {"import_id": import_id, "state": state.value, "after": after}


def _overtaken(import_id: UUID) -> ImportOvertaken:
    return ImportOvertaken(f"Import {import_id} was ended while it was under way.")


def _reused(key: str) -> KeyReused:
    return KeyReused(f"The idempotency key {key!r} was used with another body before.")


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")


def _tables(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Each once: versions made by appends share theirs."""
    return list(dict.fromkeys(t for row in rows for t in row.values() if t is not None))


def _dataset(row: Mapping[str, Any], manifest: Manifest) -> Dataset:
    known = {name: value for name, value in row.items() if name != "version"}
    return Dataset(**known, manifest=manifest)


def _report(plain: Mapping[str, Any]) -> Report:
    sentences = {"notes": tuple(plain["notes"]), "warnings": tuple(plain["warnings"])}
    return Report(**{**plain, **sentences})


def _version_row(publication: Publication) -> dict[str, Any]:
    plain = to_json(publication.manifest)
    return plain | {
        "manifest": Jsonb(plain),
        "ohlcv_block_hashes": publication.ohlcv_block_hashes,
        "indicator_block_hashes": publication.indicator_block_hashes,
    }
