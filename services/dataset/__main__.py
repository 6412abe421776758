"""The dataset process: `python -m services.dataset`."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Final

from grpc import aio
from stage1.dataset.v1.dataset_service_pb2_grpc import add_DatasetServiceServicer_to_server

from services.dataset.app.adopting import Adoptions
from services.dataset.app.appending import Appends
from services.dataset.app.bars import Bars
from services.dataset.app.checking import Checking
from services.dataset.app.collecting import Collector
from services.dataset.app.datasets import Datasets
from services.dataset.app.describing import Describing
from services.dataset.app.history import History
from services.dataset.app.importing import Imports
from services.dataset.app.merging import Merges
from services.dataset.app.places import Places
from services.dataset.app.sniffing import Sniffing
from services.dataset.app.staging import Staging
from services.dataset.app.tiles import Tiles
from services.dataset.app.verifying import Verifying
from services.dataset.app.watching import Bell, Watches
from services.dataset.calendars import exchange_sessions
from services.dataset.servicer import DatasetServicer
from services.dataset.settings import DatasetSettings
from services.dataset.storage.postgres import PostgresCatalogue
from services.dataset.storage.spool import Spool
from services.shared import postgres
from services.shared.arrow_stream import DataStreams
from services.shared.clock import system_clock
from services.shared.migrate import migrate
from services.shared.postgres import Pool
from services.shared.process import run_service
from services.shared.rpc.server import Server, serving
from services.shared.series.opening import series_store

SERVICE: Final = "stage1.dataset.v1.DatasetService"


@asynccontextmanager
async def running(settings: DatasetSettings) -> AsyncIterator[Server]:
    """The service until the block ends; it is entered once PostgreSQL is there."""
    folder = settings.data_dir / "dataset"
    pool = postgres.pool(postgres.conninfo(settings))
    bell = Bell()
    catalogue = PostgresCatalogue(pool, system_clock, on_events=bell.ring)
    async with series_store(settings, folder / "series") as series:
        spool = Spool(folder / "spool", settings.max_upload_bytes)
        places = Places(settings.import_places)
        staging = Staging(
            catalogue=catalogue,
            series=series,
            spool=spool,
            slots=settings.import_slots,
            places=places,
        )
        merges = Merges(catalogue=catalogue, series=series)
        collector = Collector(staging=staging, merges=merges)
        imports = Imports(staging=staging, clock=system_clock)
        appends = Appends(
            staging=staging, merges=merges, clock=system_clock, sessions=exchange_sessions
        )
        datasets = Datasets(catalogue=catalogue, series=series)
        verifying = Verifying(
            catalogue=catalogue,
            series=series,
            spool=spool,
            places=places,
            sessions=exchange_sessions,
        )
        bars = Bars(catalogue=catalogue, series=series)
        servicer = DatasetServicer(
            checking=Checking(catalogue=catalogue, series=series, clock=system_clock),
            verifying=verifying,
            datasets=datasets,
            history=History(catalogue=catalogue),
            watches=Watches(catalogue=catalogue, bell=bell, clock=system_clock),
            imports=imports,
            appends=appends,
            adoptions=Adoptions(imports=imports, catalogue=catalogue, series=series),
            sniffing=Sniffing(spool=spool, sessions=exchange_sessions, places=places),
            bars=bars,
            describing=Describing(bars=bars, series=series),
            tiles=Tiles(bars=bars, series=series),
            streams=DataStreams(),
            max_upload_bytes=settings.max_upload_bytes,
        )

        def register(server: aio.Server) -> None:
            add_DatasetServiceServicer_to_server(servicer, server)

        try:
            async with serving(settings, register, services=[SERVICE]) as server:
                await postgres.persistently(pool, partial(_prepare, pool, collector))
                await server.ready()
                async with collector.collecting(settings.collect_seconds):
                    yield server
        finally:
            await datasets.drained()
            await pool.close()


async def _prepare(pool: Pool, collector: Collector) -> None:
    await migrate(pool, schema="dataset", package="services.dataset.storage")
    await collector.recover()


if __name__ == "__main__":
    run_service("dataset", DatasetSettings, running)
