"""Manifests are read once, when they are needed, and only what was committed is kept."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

import pytest

from services.dataset.app.datasets import Datasets
from services.dataset.domain.catalogue import (
    Dataset,
    ImportKind,
    ImportState,
    Listing,
    Publication,
    Report,
    Said,
)
from services.dataset.storage.postgres import PostgresCatalogue, PostgresTransaction
from services.shared.clock import system_clock
from services.shared.errors import NotFound
from services.shared.postgres import Pool
from tests.integration.dataset.inside import files, order, started


async def test_a_page_reads_no_more_manifests_than_it_needs(migrated: Pool, tmp_path: Path) -> None:
    async with started(migrated, tmp_path) as service:
        for i in range(5):
            await service.run(order(f"paged_{i}"), *files(i))
        catalogue = PostgresCatalogue(migrated, system_clock)
        datasets = Datasets(catalogue=catalogue, series=service.series)
        page = await datasets.list(Listing(text="paged_", page_bytes=1))
    assert [dataset.slug for dataset in page.items] == ["paged_4"]
    assert page.more
    assert len(catalogue.manifests) == 2  # the other is the first that did not fit


async def test_a_manifest_that_is_kept_keeps_no_deleted_dataset(
    migrated: Pool, tmp_path: Path
) -> None:
    async with started(migrated, tmp_path) as service:
        await service.run(order("kept_and_gone"), *files(1))
        await service.datasets.get("kept_and_gone")
        await service.datasets.delete("kept_and_gone", force=False)
        with pytest.raises(NotFound):
            await service.datasets.manifest("kept_and_gone", 1)


class CommitFailed(Exception):
    pass


async def test_a_version_whose_commit_failed_is_not_kept(migrated: Pool, tmp_path: Path) -> None:
    async with started(migrated, tmp_path) as service:
        first = (await service.run(order("uncommitted"), *files(1))).dataset
        catalogue = PostgresCatalogue(migrated, system_clock)
        with suppress(CommitFailed):
            async with catalogue.transaction() as transaction:
                lost = await publish_another(transaction, first)
                raise CommitFailed
        second = (await service.run(order("uncommitted", first.dataset_id), *files(2))).dataset
        datasets = Datasets(catalogue=catalogue, series=service.series)
        assert lost.version == second.version == 2
        assert await datasets.manifest("uncommitted", 2) == second.manifest != lost.manifest


async def publish_another(transaction: PostgresTransaction, first: Dataset) -> Dataset:
    import_id = uuid4()
    await transaction.receive(import_id, ImportKind.IMPORT, first.slug, uuid4())
    await transaction.move(import_id, ImportState.SPOOLED)
    await transaction.reserve(import_id, first.slug, indicators=True)
    await transaction.move(import_id, ImportState.VERIFIED)
    return await transaction.publish(
        Publication(
            import_id=import_id,
            manifest=replace(first.manifest, version=2),
            said=Said(),
            is_new=False,
            report=Report(notes=(), warnings=(), trimmed_head_rows=0, trimmed_tail_rows=0),
            ohlcv_block_hashes=b"",
            indicator_block_hashes=b"",
            repeatable=None,
        )
    )
