"""The use cases without gRPC, on a real PostgreSQL and real files, with parts exchanged."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

from stage1.dataset.v1 import dataset_pb2, import_pb2
from stage1.dataset.v1 import dataset_service_pb2 as pb

from services.dataset.app.adopting import Adoptions, AdoptOrder
from services.dataset.app.appending import Appends
from services.dataset.app.collecting import Collector
from services.dataset.app.datasets import Datasets
from services.dataset.app.importing import Imports
from services.dataset.app.merging import Merges
from services.dataset.app.order import AppendOrder, ImportOrder, PartBytes
from services.dataset.app.places import Places
from services.dataset.app.staging import Staging
from services.dataset.calendars import exchange_sessions
from services.dataset.convert.importing import adopt_order, append_order, import_order
from services.dataset.domain.catalogue import Published
from services.dataset.storage.postgres import PostgresCatalogue
from services.dataset.storage.spool import Spool
from services.shared.clock import Clock, system_clock
from services.shared.postgres import Pool
from services.shared.series.arrow_files import ArrowFiles, arrow_files
from tests.integration.dataset.client import INDICATORS, OHLCV, bar_file, header_of, indicator_file
from tests.unit.dataset.bars import hourly

TIMES = hourly(300)


@dataclass(frozen=True, kw_only=True)
class Service:
    imports: Imports
    appends: Appends
    adoptions: Adoptions
    collector: Collector
    datasets: Datasets
    catalogue: PostgresCatalogue
    series: ArrowFiles
    spool: Spool

    def beside(self) -> Service:
        """Another process on the same stores."""
        return service_on(self.catalogue, self.series, self.spool)

    async def run(self, order: ImportOrder, *parts: bytes) -> Published:
        async def pieces() -> AsyncIterator[PartBytes]:
            for part, data in enumerate(parts):
                yield PartBytes(part, data)

        return await self.imports.run(order, pieces())

    async def append(self, order: AppendOrder, *parts: bytes) -> Published:
        async def pieces() -> AsyncIterator[PartBytes]:
            for part, data in enumerate(parts):
                yield PartBytes(part, data)

        return await self.appends.run(order, pieces())

    async def tables_of(self, slug: str) -> set[str]:
        return {table for table in await self.series.tables() if table.startswith(f"{slug}_v")}

    async def published_tables(self, slug: str) -> set[str | None]:
        _, versions = await self.datasets.get(slug)
        manifests = [await self.datasets.manifest(slug, version) for version in versions]
        return {
            table for m in manifests for table in (m.ohlcv_measurement, m.indicator_measurement)
        }


def as_it_is(part: Any) -> Any:
    return part


@asynccontextmanager
async def started(
    pool: Pool,
    folder: Path,
    *,
    clock: Clock = system_clock,
    catalogue: Callable[[PostgresCatalogue], Any] = as_it_is,
    series: Callable[[ArrowFiles], Any] = as_it_is,
    recover: bool = True,
    places: int = 4,
    store: Callable[[Path], AbstractAsyncContextManager[Any]] = arrow_files,
) -> AsyncIterator[Service]:
    """`catalogue` and `series` may wrap what the imports work with."""
    real_catalogue = PostgresCatalogue(pool, clock)
    async with store(folder / "series") as real_series:
        service = service_on(
            real_catalogue,
            real_series,
            Spool(folder / "spool", 1 << 30),
            clock=clock,
            used_catalogue=catalogue(real_catalogue),
            used_series=series(real_series),
            places=places,
        )
        if recover:
            await service.collector.recover()
            await service.collector.collect()
        yield service


def service_on(
    catalogue: PostgresCatalogue,
    series: ArrowFiles,
    spool: Spool,
    *,
    clock: Clock = system_clock,
    used_catalogue: Any = None,
    used_series: Any = None,
    places: int = 4,
) -> Service:
    staging = Staging(
        catalogue=used_catalogue or catalogue,
        series=used_series or series,
        spool=spool,
        slots=1,
        places=Places(places),
    )
    merges = Merges(catalogue=staging.catalogue, series=staging.series)
    imports = Imports(staging=staging, clock=clock)
    return Service(
        imports=imports,
        appends=Appends(staging=staging, merges=merges, clock=clock, sessions=exchange_sessions),
        adoptions=Adoptions(imports=imports, catalogue=staging.catalogue, series=staging.series),
        collector=Collector(staging=staging, merges=merges),
        datasets=Datasets(catalogue=catalogue, series=series),
        catalogue=catalogue,
        series=series,
        spool=spool,
    )


def order(
    slug: str,
    dataset_id: UUID | None = None,
    *,
    key: str = "",
    tables: tuple[dataset_pb2.Table.ValueType, ...] = (),
) -> ImportOrder:
    header = header_of(slug, *tables)
    header.dataset_id = str(dataset_id or "")
    header.idempotency_key = key
    return import_order(pb.ImportDatasetRequest(header=header), 1 << 30)


def append(
    dataset: str,
    *tables: dataset_pb2.Table.ValueType,
    key: str = "",
    policy: dataset_pb2.GapPolicy.ValueType = dataset_pb2.GAP_POLICY_UNSPECIFIED,
    expected_version: int = 0,
) -> AppendOrder:
    """Of both tables, unless some are named."""
    header = import_pb2.AppendHeader(
        dataset=dataset,
        parts=[import_pb2.ImportPart(table=table) for table in tables or (OHLCV, INDICATORS)],
        idempotency_key=key,
        gap_policy=policy,
        expected_version=expected_version,
    )
    return append_order(pb.AppendBarsRequest(header=header), 1 << 30)


def adoption(slug: str, ohlcv: str, indicators: str = "", *, key: str = "") -> AdoptOrder:
    header = header_of(slug)
    del header.parts[:]
    header.idempotency_key = key
    request = pb.AdoptTablesRequest(
        header=header, ohlcv_measurement=ohlcv, indicator_measurement=indicators
    )
    return adopt_order(request, 1 << 30)


def files(seed: int) -> tuple[bytes, bytes]:
    return bar_file(TIMES, seed=seed), indicator_file(TIMES[50:290], seed=seed)
