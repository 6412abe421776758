"""Tables that are in the store already become a dataset, judged as files are."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pyarrow as pa
import pytest

from services.dataset.domain.columns import Table
from services.shared.errors import InvalidRequest
from services.shared.postgres import Pool
from services.shared.series import NoSuchTable
from tests.integration.dataset.growing import World, read_version
from tests.integration.dataset.inside import Service, adoption, order, started

WORLD = World(400)


async def put(service: Service, name: str, table: pa.Table) -> None:
    async def batches() -> AsyncIterator[pa.RecordBatch]:
        for batch in table.to_batches(max_chunksize=100):
            yield batch

    await service.series.create(name, table.schema)
    await service.series.write(name, batches())


async def test_tables_of_the_store_are_copied_into_a_dataset(
    migrated: Pool, tmp_path: Path
) -> None:
    async with started(migrated, tmp_path) as service:
        await put(service, "their_bars", WORLD.bars)
        await put(service, "their_indicators", WORLD.indicators)
        asked = adoption("adopted", "their_bars", "their_indicators", key="adopted")
        adopted = await service.adoptions.run(asked)
        whole = await service.run(order("not_adopted"), *WORLD.files((0, 400), (0, 344)))
        assert adopted.dataset.manifest.content_hash == whole.dataset.manifest.content_hash
        rows = await read_version(service, adopted.dataset, Table.OHLCV)
        assert rows.drop_columns("index").equals(WORLD.bars)
        assert await service.adoptions.run(asked) == adopted
        await service.datasets.delete("adopted", force=False)
        assert {"their_bars", "their_indicators"} <= set(await service.series.tables())


async def test_adopted_tables_must_keep_every_rule(migrated: Pool, tmp_path: Path) -> None:
    high = WORLD.bars.schema.get_field_index("high")
    low = WORLD.bars.set_column(high, "high", pa.array([1.0] * 400))
    async with started(migrated, tmp_path) as service:
        await put(service, "wrong_bars", low)
        with pytest.raises(InvalidRequest, match=r"\(wrong_bars\).*high"):
            await service.adoptions.run(adoption("refused", "wrong_bars"))
        with pytest.raises(NoSuchTable):
            await service.adoptions.run(adoption("refused", "no_such_bars"))
        assert await service.tables_of("refused") == set()


def test_an_adoption_names_its_tables_and_brings_no_files() -> None:
    with pytest.raises(InvalidRequest, match="ohlcv_measurement is missing"):
        adoption("unnamed", "")
    with pytest.raises(InvalidRequest, match="'no name', and names of tables are of a to z"):
        adoption("unnamed", "no name")
