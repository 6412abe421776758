"""A crash at any step of an import leaves the old version or the new one, and a retry works."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from stage1.dataset.v1 import dataset_service_pb2 as pb

from services.dataset.app.datasets import Datasets
from services.dataset.app.importing import Imports
from services.dataset.app.order import ImportOrder, PartBytes
from services.dataset.convert.importing import import_order
from services.dataset.domain.catalogue import Published
from services.dataset.storage.postgres import PostgresCatalogue
from services.dataset.storage.spool import Spool
from services.shared import postgres
from services.shared.clock import system_clock
from services.shared.migrate import migrate
from services.shared.postgres import Pool
from services.shared.series.arrow_files import ArrowFiles, arrow_files
from tests.integration.dataset.client import bar_file, header_of, indicator_file
from tests.unit.dataset.bars import hourly

TIMES = hourly(300)


class Crash(BaseException):
    """No handler of ours catches it, as none runs when a process is killed."""


@dataclass
class Life:
    """Ends at a step; whatever is tried afterwards ends at once."""

    steps: int | None = None
    taken: int = field(default=0, init=False)

    def step(self) -> None:
        self.taken += 1
        if self.steps is not None and self.taken > self.steps:
            raise Crash


class MortalCatalogue:
    """Steps: before a transaction, before its COMMIT, after it."""

    def __init__(self, catalogue: PostgresCatalogue, life: Life) -> None:
        self._catalogue = catalogue
        self._life = life

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Any]:
        self._life.step()
        async with self._catalogue.transaction() as transaction:
            yield transaction
            self._life.step()
        self._life.step()


class MortalSeries:
    """Steps: before and after every method that changes something."""

    def __init__(self, series: ArrowFiles, life: Life) -> None:
        self._series = series
        self._life = life

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._series, name)
        if name not in {"create", "write", "settle", "drop"}:
            return method

        async def mortal(*args: Any, **kwargs: Any) -> Any:
            self._life.step()
            result = await method(*args, **kwargs)
            self._life.step()
            return result

        return mortal


@dataclass(frozen=True, kw_only=True)
class Service:
    imports: Imports
    datasets: Datasets
    series: ArrowFiles
    life: Life

    async def run(self, order: ImportOrder, *parts: bytes) -> Published:
        async def pieces() -> AsyncIterator[PartBytes]:
            for part, data in enumerate(parts):
                yield PartBytes(part, data)

        return await self.imports.run(order, pieces())


@asynccontextmanager
async def started(pool: Pool, folder: Path, steps: int | None = None) -> AsyncIterator[Service]:
    life = Life(steps)
    catalogue = PostgresCatalogue(pool, system_clock)
    async with arrow_files(folder / "series") as series:
        imports = Imports(
            catalogue=MortalCatalogue(catalogue, life),
            series=MortalSeries(series, life),
            spool=Spool(folder / "spool", 1 << 30),
            clock=system_clock,
            slots=1,
        )
        datasets = Datasets(catalogue=catalogue, series=series)
        if steps is None:
            await imports.recover()
        yield Service(imports=imports, datasets=datasets, series=series, life=life)


@pytest.fixture(scope="module")
async def migrated(dsn: str) -> AsyncIterator[Pool]:
    async with postgres.pool(dsn) as pool:
        await migrate(pool, schema="dataset", package="services.dataset.storage")
        yield pool


def order(slug: str, dataset_id: UUID | None = None) -> ImportOrder:
    header = header_of(slug)
    header.dataset_id = str(dataset_id or "")
    header.idempotency_key = f"{slug} {dataset_id}"
    return import_order(pb.ImportDatasetRequest(header=header), 1 << 30)


def files(seed: int) -> tuple[bytes, bytes]:
    return bar_file(TIMES, seed=seed), indicator_file(TIMES[50:290], seed=seed)


async def count_steps(pool: Pool, folder: Path) -> int:
    async with started(pool, folder) as service:
        before = service.life.taken
        await service.run(order("undisturbed"), *files(1))
        return service.life.taken - before


async def test_a_crash_at_any_step_leaves_the_old_version_or_the_new_one(
    migrated: Pool, tmp_path: Path
) -> None:
    seen = set()
    steps = await count_steps(migrated, tmp_path)
    assert steps > 20
    for step in range(steps):
        slug = f"crashed_{step}"
        async with started(migrated, tmp_path) as service:
            first = (await service.run(order(slug), *files(1))).dataset
        second = order(slug, first.dataset_id)
        async with started(migrated, tmp_path, steps=step) as mortal:
            with pytest.raises(Crash):
                await mortal.run(second, *files(2))
        async with started(migrated, tmp_path) as service:
            now, versions = await service.datasets.get(slug)
            seen.add(now.version)
            assert list(versions) == list(range(1, now.version + 1))
            assert await tables_of(service, slug) == await published_tables(service, slug)
            again = await service.run(second, *files(2))
            assert again.dataset.version == 2
            assert again.dataset.manifest.content_hash != first.manifest.content_hash
            assert await tables_of(service, slug) == await published_tables(service, slug)
    assert seen == {1, 2}


async def tables_of(service: Service, slug: str) -> set[str]:
    return {table for table in await service.series.tables() if table.startswith(f"{slug}_v")}


async def published_tables(service: Service, slug: str) -> set[str | None]:
    _, versions = await service.datasets.get(slug)
    manifests = [await service.datasets.manifest(slug, version) for version in versions]
    return {table for m in manifests for table in (m.ohlcv_measurement, m.indicator_measurement)}


async def test_a_crash_in_a_delete_leaves_no_tables_after_the_next_start(
    migrated: Pool, tmp_path: Path
) -> None:
    async with started(migrated, tmp_path) as service:
        await service.run(order("half_deleted"), *files(1))
        assert len(await tables_of(service, "half_deleted")) == 2
        mortal = Datasets(
            catalogue=PostgresCatalogue(migrated, system_clock),
            series=MortalSeries(service.series, Life(0)),
        )
        with pytest.raises(Crash):
            await mortal.delete("half_deleted", force=False)
        assert len(await tables_of(service, "half_deleted")) == 2
    async with started(migrated, tmp_path) as service:
        assert await tables_of(service, "half_deleted") == set()


async def test_uploads_of_a_crashed_process_are_gone_after_the_next_start(
    migrated: Pool, tmp_path: Path
) -> None:
    left = tmp_path / "spool" / "abandoned" / "part_0"
    left.parent.mkdir(parents=True)
    left.write_bytes(b"half a file")
    async with started(migrated, tmp_path):
        assert list((tmp_path / "spool").iterdir()) == []
