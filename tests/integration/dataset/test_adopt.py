"""Tables that are in the store already become a dataset, judged as files are."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pyarrow as pa
import pytest

from services.dataset.domain.catalogue import KeyReused
from services.dataset.domain.columns import Table
from services.shared.errors import InvalidRequest
from services.shared.postgres import Pool
from services.shared.series import NoSuchTable
from tests.integration.dataset.growing import World, read_version
from tests.integration.dataset.inside import Service, adoption, append, order, started
from tests.integration.dataset.mortal import Paused, armed

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


async def test_a_repeated_adoption_is_answered_without_a_look_at_the_tables(
    migrated: Pool, tmp_path: Path
) -> None:
    async with started(migrated, tmp_path) as service:
        await put(service, "growing_bars", WORLD.bars.slice(0, 300))
        asked = adoption("repeated", "growing_bars", key="repeated")
        first = await service.adoptions.run(asked)
        await put(service, "growing_bars", WORLD.bars.slice(300, 100))
        assert await service.adoptions.run(asked) == first
        await service.series.drop("growing_bars")
        assert await service.adoptions.run(asked) == first
        with pytest.raises(KeyReused):
            await service.adoptions.run(adoption("repeated", "other_bars", key="repeated"))


async def test_of_tables_of_datasets_only_what_is_published_is_adopted(
    migrated: Pool, tmp_path: Path
) -> None:
    pause = Paused("append.merged")
    async with started(migrated, tmp_path) as service:
        first = (await service.run(order("grown"), *WORLD.files((0, 300), (0, 244)))).dataset
        bars = first.manifest.ohlcv_measurement
        assert first.manifest.indicator_measurement
        tables = bars, first.manifest.indicator_measurement
        with armed(pause):
            growing = asyncio.create_task(
                service.append(append("grown"), *WORLD.files((290, 310), (240, 254)))
            )
            await pause.reached.wait()
            early = await service.adoptions.run(adoption("early", *tables))
            (staged, *_) = await service.tables_of("grown") - set(tables)
            with pytest.raises(NoSuchTable, match="that a version of a dataset reads"):
                await service.adoptions.run(adoption("unpublished", staged))
            pause.may_go_on.set()
            grown = (await growing).dataset
        assert early.dataset.manifest.content_hash == first.manifest.content_hash
        late = await service.adoptions.run(adoption("late", *tables))
        assert late.dataset.manifest.content_hash == grown.manifest.content_hash


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
