"""An import from its first byte to its publication, which is one transaction.

Rows are written to tables of this attempt alone, read back whole, and exist for
others when PostgreSQL says so. Whatever ends an import before leaves nothing.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from uuid import UUID

import structlog

from services.dataset.app.order import ImportOrder, PartBytes
from services.dataset.app.preparing import Prepared, prepare
from services.dataset.app.staging import Staged, Staging
from services.dataset.domain.catalogue import (
    Dataset,
    ImportKind,
    ImportOvertaken,
    ImportState,
    Publication,
    Published,
    Repeatable,
    Said,
    slug_taken,
)
from services.dataset.domain.columns import Table
from services.dataset.domain.granularity import contradiction
from services.dataset.domain.manifest import Manifest, contradictions, measurement
from services.dataset.storage.protocol import CatalogueTransaction
from services.dataset.storage.spool import Upload
from services.shared.clock import Clock
from services.shared.errors import AlreadyExists, InvalidRequest, Violation
from services.shared.failpoints import reach
from services.shared.threads import in_thread

log = structlog.get_logger()


@dataclass(frozen=True, kw_only=True)
class _Attempt:
    import_id: UUID
    order: ImportOrder
    upload: Upload
    repeatable: Repeatable | None


class Imports:
    def __init__(self, *, staging: Staging, clock: Clock) -> None:
        self._staging = staging
        self._clock = clock

    async def run(
        self,
        order: ImportOrder,
        pieces: AsyncIterator[PartBytes],
        kind: ImportKind = ImportKind.IMPORT,
    ) -> Published:
        """Raises InvalidRequest for files and claims that break a rule, AlreadyExists for a slug
        or key that is taken, KeySpent, Conflict when another import was faster,
        TooManyImports."""

        async def admit(catalogue: CatalogueTransaction) -> str:
            # A key that is known may be a repetition.
            if not (order.idempotency_key and await catalogue.knows_key(order.idempotency_key)):
                await _base(catalogue, order)
            return order.slug

        # The bytes of an adoption are the store's: they may have grown when it is asked again.
        asked = _asked(order) if kind is ImportKind.ADOPTION else None
        async with self._staging.attempt(kind, admit) as import_id:
            if answered := await self._staging.answer(asked):
                return answered
            async with self._staging.uploaded(import_id, order, pieces) as (upload, sent):
                attempt = _Attempt(
                    import_id=import_id, order=order, upload=upload, repeatable=asked or sent
                )
                answered = await self._staging.answer(attempt.repeatable)
                return answered or await self._import_or_answer(attempt)

    async def _import_or_answer(self, attempt: _Attempt) -> Published:
        """The same request twice at once: the slower one gives the answer of the faster."""
        try:
            return await self._import(attempt)
        except (AlreadyExists, ImportOvertaken) as error:
            published = await self._staging.answer(attempt.repeatable)
            if published is None:
                raise
            await self._staging.undo(attempt.import_id, error)
            return published

    async def _import(self, attempt: _Attempt) -> Published:
        order = attempt.order
        async with self._staging.slots:
            await self._staging.move(attempt.import_id, ImportState.SPOOLED)
            await reach("import.spooled")
            prepared = await in_thread(prepare, order, attempt.upload.paths)
            await in_thread(attempt.upload.remove)
            manifest, base = await self._begin(attempt, prepared)
            await reach("import.reserved")
            await self._staging.load("import", _staged(prepared, manifest))
            await self._staging.move(attempt.import_id, ImportState.VERIFIED)
            await reach("import.verified")
        return await self._publish(
            Publication(
                import_id=attempt.import_id,
                manifest=manifest,
                said=_said(order, manifest, is_new=base is None),
                is_new=base is None,
                report=prepared.report,
                ohlcv_block_hashes=prepared.block_hashes(Table.OHLCV),
                indicator_block_hashes=prepared.block_hashes(Table.INDICATORS),
                repeatable=attempt.repeatable,
            )
        )

    async def _begin(
        self, attempt: _Attempt, prepared: Prepared
    ) -> tuple[Manifest, Dataset | None]:
        """From here on the import has a version to become and tables of its own."""
        order, indicators = attempt.order, Table.INDICATORS in prepared.tables
        async with self._staging.catalogue.transaction() as catalogue:
            base = await _base(catalogue, order)
            reserved = await catalogue.reserve(attempt.import_id, order.slug, indicators=indicators)
            manifest = prepared.manifest(order, base, reserved, self._clock())
            _refuse_granularity(order, manifest)
            wrong = contradictions(order.expected, manifest)
            found = [Violation(f"header.expected.{name}", message) for name, message in wrong]
            if found:
                raise InvalidRequest(found[:20], reason="MANIFEST_CONTRADICTED")
        return manifest, base

    async def _publish(self, publication: Publication) -> Published:
        async with self._staging.catalogue.transaction() as catalogue:
            dataset = await catalogue.publish(publication)
            await reach("import.publishing")
        await reach("import.published")
        log.info("dataset_published", slug=dataset.slug, version=dataset.version)
        return Published(dataset=dataset, report=publication.report)


def _asked(order: ImportOrder) -> Repeatable | None:
    key = order.idempotency_key
    return Repeatable(key, order.header_sha256) if key else None


def _refuse_granularity(order: ImportOrder, manifest: Manifest) -> None:
    """Of a version that says none it is what its dataset says."""
    if message := contradiction(manifest.granularity, manifest):
        whose = "" if order.granularity else f"of dataset {manifest.dataset_slug} "
        raise InvalidRequest([Violation("header.granularity", whose + message)])


def _said(order: ImportOrder, manifest: Manifest, *, is_new: bool) -> Said:
    if is_new:
        return Said(manifest.symbol, manifest.granularity, manifest.source, order.metadata)
    return Said(
        order.symbol or None,
        order.granularity or None,
        order.source or None,
        order.metadata or None,
    )


def _staged(prepared: Prepared, manifest: Manifest) -> list[Staged]:
    return [
        Staged(name=measurement(manifest, table), rows=rows, hash=prepared.hashes[table])
        for table, rows in prepared.tables.items()
    ]


async def _base(catalogue: CatalogueTransaction, order: ImportOrder) -> Dataset | None:
    """The dataset that gets a new version; None for a new one."""
    if order.dataset_id is None:
        if await catalogue.exists(order.slug):
            raise slug_taken(order.slug)
        return None
    base = await catalogue.dataset(order.dataset_id)
    if base.slug != order.slug:
        message = f"is {order.slug!r}, but dataset {base.dataset_id} is {base.slug!r}"
        raise InvalidRequest([Violation("header.slug", message)])
    return base
