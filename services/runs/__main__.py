"""The runs process: `python -m services.runs`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from typing import Final

from grpc import aio
from stage1.runs.v1.run_service_pb2_grpc import add_RunServiceServicer_to_server
from stage1.runs.v1.simulation_service_pb2_grpc import add_SimulationServiceServicer_to_server
from stage1.runs.v1.worker_service_pb2_grpc import add_WorkerServiceServicer_to_server

from services.runs.app.dispatcher import Dispatcher
from services.runs.app.figures import Figures
from services.runs.app.hub import Hub
from services.runs.app.janitor import Janitor
from services.runs.app.moves import RunMoves, SimulationMoves
from services.runs.app.runs import Runs
from services.runs.app.simulating import SimulatingLine
from services.runs.app.simulations import Simulations
from services.runs.app.training import TrainingLine
from services.runs.app.watch import Watches
from services.runs.app.workers import Workers
from services.runs.clients.dataset import Datasets
from services.runs.clients.workers import Workers as WorkerCalls
from services.runs.servicer.runs import RunServicer
from services.runs.servicer.simulations import SimulationServicer
from services.runs.servicer.workers import WorkerServicer
from services.runs.settings import RunsSettings
from services.runs.storage.models import ModelFiles
from services.runs.storage.postgres import PostgresStore
from services.runs.storage.series import Series
from services.shared import postgres
from services.shared.arrow_stream import DataStreams
from services.shared.clock import Clock, system_clock
from services.shared.migrate import migrate
from services.shared.postgres import Pool
from services.shared.process import run_service
from services.shared.rpc import client
from services.shared.rpc.server import Server, serving
from services.shared.series import SeriesStore
from services.shared.series.arrow_files import arrow_files

SERVICES: Final = tuple(f"stage1.runs.v1.{n}Service" for n in ("Run", "Simulation", "Worker"))


class House:
    """Everything of the service, put together once."""

    def __init__(
        self,
        settings: RunsSettings,
        *,
        pool: Pool,
        series_store: SeriesStore,
        dataset: client.Channel,
        clock: Clock = system_clock,
    ) -> None:
        store, hub, streams = PostgresStore(pool), Hub(), DataStreams()
        series = Series(series_store)
        self._models = models = ModelFiles(settings.data_dir / "runs" / "models")
        datasets, calls = Datasets(dataset), WorkerCalls(settings.token)
        self._figures = figures = Figures(store=store, series=series, clock=clock)
        moves = RunMoves(store=store, figures=figures, hub=hub, clock=clock)
        simulation_moves = SimulationMoves(store=store, hub=hub, clock=clock)
        self.dispatcher = Dispatcher(
            [
                TrainingLine(
                    store=store,
                    series=series,
                    models=models,
                    trainers=calls,
                    moves=moves,
                    figures=figures,
                    hub=hub,
                    clock=clock,
                ),
                SimulatingLine(
                    store=store,
                    series=series,
                    simulators=calls,
                    moves=simulation_moves,
                    hub=hub,
                    clock=clock,
                ),
            ],
            clock=clock,
        )
        self.janitor = Janitor(
            store=store,
            series=series,
            models=models,
            datasets=datasets,
            figures=figures,
            clock=clock,
        )
        runs = Runs(
            store=store,
            series=series,
            models=models,
            datasets=datasets,
            queue=self.dispatcher,
            moves=moves,
            figures=figures,
            clock=clock,
        )
        simulations = Simulations(
            store=store, series=series, queue=self.dispatcher, moves=simulation_moves, clock=clock
        )
        workers = Workers(
            store=store, queue=self.dispatcher, allowed=settings.worker_hosts, clock=clock
        )
        watches = Watches(store=store, hub=hub, clock=clock)
        self._runs = RunServicer(runs=runs, watches=watches, streams=streams)
        self._simulations = SimulationServicer(
            simulations=simulations, watches=watches, streams=streams
        )
        self._workers = WorkerServicer(workers)

    def register(self, server: aio.Server) -> None:
        add_RunServiceServicer_to_server(self._runs, server)
        add_SimulationServiceServicer_to_server(self._simulations, server)
        add_WorkerServiceServicer_to_server(self._workers, server)

    @asynccontextmanager
    async def working(self) -> AsyncIterator[None]:
        """The queue moves until the block ends; what is under way then goes back to it."""
        await self._models.clean()
        tasks = [asyncio.create_task(part.run()) for part in (self.dispatcher, self.janitor)]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
            await self._figures.stop()


@asynccontextmanager
async def running(settings: RunsSettings) -> AsyncIterator[Server]:
    """The service until the block ends; it is entered once PostgreSQL is there."""
    pool = postgres.pool(settings.postgres_dsn.get_secret_value())
    async with AsyncExitStack() as stack:
        stack.push_async_callback(pool.close)
        series = await stack.enter_async_context(arrow_files(settings.data_dir / "runs" / "series"))
        dataset = await stack.enter_async_context(
            client.channel(settings.dataset_address, token=settings.token)
        )
        house = House(settings, pool=pool, series_store=series, dataset=dataset)
        async with serving(settings, house.register, services=SERVICES) as server:
            await postgres.persistently(pool, partial(_prepare, pool))
            await stack.enter_async_context(house.working())  # ends after the calls have
            await server.ready()
            yield server


async def _prepare(pool: Pool) -> None:
    await migrate(pool, schema="runs", package="services.runs.storage")


if __name__ == "__main__":
    run_service("runs", RunsSettings, running)
