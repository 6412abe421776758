"""The runs process: `python -m services.runs`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
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
from services.shared.series.opening import series_store

SERVICES: Final = tuple(f"stage1.runs.v1.{n}Service" for n in ("Run", "Simulation", "Worker"))


@dataclass(frozen=True, kw_only=True)
class Parts:
    """What several others are made of."""

    store: PostgresStore
    series: Series
    models: ModelFiles
    datasets: Datasets
    hub: Hub
    figures: Figures
    moves: RunMoves
    simulation_moves: SimulationMoves
    clock: Clock


def parts_of(
    settings: RunsSettings, pool: Pool, series_store: SeriesStore, dataset: client.Channel
) -> Parts:
    clock = system_clock
    store, series, hub = PostgresStore(pool), Series(series_store), Hub()
    figures = Figures(store=store, series=series, clock=clock)
    return Parts(
        store=store,
        series=series,
        models=ModelFiles(settings.data_dir / "runs" / "models"),
        datasets=Datasets(dataset),
        hub=hub,
        figures=figures,
        moves=RunMoves(store=store, figures=figures, hub=hub, clock=clock),
        simulation_moves=SimulationMoves(store=store, hub=hub, clock=clock),
        clock=clock,
    )


def training_line(parts: Parts, trainers: WorkerCalls) -> TrainingLine:
    return TrainingLine(
        store=parts.store,
        series=parts.series,
        models=parts.models,
        trainers=trainers,
        moves=parts.moves,
        figures=parts.figures,
        hub=parts.hub,
        clock=parts.clock,
    )


def simulating_line(parts: Parts, simulators: WorkerCalls) -> SimulatingLine:
    return SimulatingLine(
        store=parts.store,
        series=parts.series,
        simulators=simulators,
        moves=parts.simulation_moves,
        hub=parts.hub,
        clock=parts.clock,
    )


def janitor_of(parts: Parts) -> Janitor:
    return Janitor(
        store=parts.store,
        series=parts.series,
        models=parts.models,
        datasets=parts.datasets,
        figures=parts.figures,
        clock=parts.clock,
    )


def runs_of(parts: Parts, queue: Dispatcher) -> Runs:
    return Runs(
        store=parts.store,
        series=parts.series,
        models=parts.models,
        datasets=parts.datasets,
        queue=queue,
        moves=parts.moves,
        figures=parts.figures,
        clock=parts.clock,
    )


def simulations_of(parts: Parts, queue: Dispatcher) -> Simulations:
    return Simulations(
        store=parts.store,
        series=parts.series,
        queue=queue,
        moves=parts.simulation_moves,
        clock=parts.clock,
    )


class House:
    """Everything of the service, put together once."""

    def __init__(self, settings: RunsSettings, parts: Parts) -> None:
        calls = WorkerCalls(settings.token)
        lines = (training_line(parts, calls), simulating_line(parts, calls))
        self._models, self._figures = parts.models, parts.figures
        self._dispatcher = queue = Dispatcher(lines, clock=parts.clock)
        self._janitor = janitor_of(parts)
        watches = Watches(store=parts.store, hub=parts.hub, clock=parts.clock)
        streams = DataStreams()
        self._runs = RunServicer(runs=runs_of(parts, queue), watches=watches, streams=streams)
        self._simulations = SimulationServicer(
            simulations=simulations_of(parts, queue), watches=watches, streams=streams
        )
        allowed = settings.worker_hosts
        self._workers = WorkerServicer(
            Workers(store=parts.store, queue=queue, allowed=allowed, clock=parts.clock)
        )

    def register(self, server: aio.Server) -> None:
        add_RunServiceServicer_to_server(self._runs, server)
        add_SimulationServiceServicer_to_server(self._simulations, server)
        add_WorkerServiceServicer_to_server(self._workers, server)

    @asynccontextmanager
    async def working(self) -> AsyncIterator[None]:
        """The queue moves until the block ends; what is under way then goes back to it."""
        await self._models.clean()
        tasks = [asyncio.create_task(part.run()) for part in (self._dispatcher, self._janitor)]
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
    pool = postgres.pool(postgres.conninfo(settings))
    async with AsyncExitStack() as stack:
        stack.push_async_callback(pool.close)
        series = await stack.enter_async_context(
            series_store(settings, settings.data_dir / "runs" / "series")
        )
        dataset = await stack.enter_async_context(
            client.channel(settings.dataset_address, token=settings.token)
        )
        house = House(settings, parts_of(settings, pool, series, dataset))
        async with serving(settings, house.register, services=SERVICES) as server:
            await postgres.persistently(pool, partial(_prepare, pool))
            await stack.enter_async_context(house.working())  # ends after the calls have
            await server.ready()
            yield server


async def _prepare(pool: Pool) -> None:
    await migrate(pool, schema="runs", package="services.runs.storage")


if __name__ == "__main__":
    run_service("runs", RunsSettings, running)
