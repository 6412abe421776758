"""Catalogue and series store held against each other."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest

from services.dataset.app.checking import STUCK_MS
from services.shared.postgres import Pool
from services.shared.series.arrow_files import arrow_files
from tests.integration.dataset.damaging import Store, published_store, rewritten


@pytest.fixture
async def store(migrated: Pool, tmp_path: Path) -> Store:
    return await published_store(migrated, tmp_path)


async def test_a_store_as_it_should_be_has_no_findings(store: Store) -> None:
    assert await store.checked() == set()


async def test_a_table_that_nobody_needs_is_named(store: Store) -> None:
    slug = store.manifest.dataset_slug
    ours = {f"{slug}_v7_ohlcv_a1", f"{slug}_v7_ind_a12"}
    others = {f"{slug}_wf_0123", f"{slug}_v7", "predictions"}
    async with arrow_files(store.folder / "series") as series:
        for table in ours | others:
            await series.create(table, pa.schema([("timestamp_ms", pa.int64())]))
    assert await store.checked() == {("ORPHANED_TABLE", table) for table in ours}


async def test_tables_of_a_dataset_deleted_long_ago_are_named(store: Store) -> None:
    tables = {store.manifest.ohlcv_measurement, store.manifest.indicator_measurement}
    await store.sql(
        "UPDATE dataset.datasets SET deleted_at_ms = created_at_ms WHERE dataset_id = %(id)s"
    )
    assert await store.checked() == set()  # they are being dropped
    later = await store.checked(later_ms=STUCK_MS)
    assert later == {("ORPHANED_TABLE", table) for table in tables}


async def test_rows_that_no_version_has_are_counted(store: Store) -> None:
    table = store.manifest.ohlcv_measurement

    def longer(rows: pa.Table) -> pa.Table:
        last = rows.slice(rows.num_rows - 1)
        time = pa.array([last["timestamp_ms"][0].as_py() + 3_600_000])
        return pa.concat_tables([rows, last.set_column(0, rows.schema.field(0), time)])

    await rewritten(store, table, longer)
    assert await store.checked() == {("ROW_COUNT", table), ("BOUNDS", table)}
    assert await store.reasons() == set()  # no version reads beyond its watermark


async def test_imports_that_stand_still_are_named(store: Store) -> None:
    await store.sql(
        "UPDATE dataset.imports SET state = 'PUBLISHED' WHERE slug ="
        " (SELECT slug FROM dataset.datasets WHERE dataset_id = %(id)s)"
    )
    assert await store.checked() == set()
    slug = store.manifest.dataset_slug
    assert await store.checked(later_ms=STUCK_MS + 60_000) == {("STUCK_IMPORT", slug)}


async def test_an_append_that_is_not_through_is_named(store: Store) -> None:
    await store.sql(
        "UPDATE dataset.imports SET state = 'MERGING', intent = '{}', had_intent = true"
        " WHERE slug ="
        " (SELECT slug FROM dataset.datasets WHERE dataset_id = %(id)s)"
    )
    assert await store.checked() == set()
    slug = store.manifest.dataset_slug
    assert await store.checked(later_ms=STUCK_MS) == {("UNFINISHED_APPEND", slug)}
    await store.sql(  # nobody could finish it
        "UPDATE dataset.imports SET state = 'CLEANED', intent = NULL WHERE state = 'MERGING'"
    )
