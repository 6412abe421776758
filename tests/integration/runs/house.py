"""A runs service and the real dataset service beside it in this process, and a client of both."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import psycopg
import pyarrow as pa
from google.protobuf.message import Message
from pydantic import SecretStr
from stage1.dataset.v1.dataset_service_pb2_grpc import DatasetServiceStub
from stage1.runs.v1 import plan_pb2, run_pb2, simulation_pb2
from stage1.runs.v1 import run_service_pb2 as pb
from stage1.runs.v1 import simulation_service_pb2 as simulations_pb
from stage1.runs.v1 import worker_service_pb2 as workers_pb
from stage1.runs.v1.run_service_pb2_grpc import RunServiceStub
from stage1.runs.v1.simulation_service_pb2_grpc import SimulationServiceStub
from stage1.runs.v1.worker_service_pb2_grpc import WorkerServiceStub

from services.dataset.__main__ import running as dataset_running
from services.dataset.settings import DatasetSettings
from services.runs.__main__ import running
from services.runs.settings import RunsSettings
from services.shared.arrow_stream import read_ipc
from services.shared.rpc import client
from services.shared.rpc.client import Channel
from services.shared.rpc.status import refusals
from tests.integration.dataset.client import Client as DatasetClient
from tests.integration.dataset.client import bar_file, header_of, indicator_file
from tests.integration.runs.peers import ScriptedSimulator, ScriptedTrainer, listening
from tests.unit.dataset.bars import hourly

if TYPE_CHECKING:
    from stage1.runs.v1.run_service_pb2_grpc import RunServiceAsyncStub
    from stage1.runs.v1.simulation_service_pb2_grpc import SimulationServiceAsyncStub
    from stage1.runs.v1.worker_service_pb2_grpc import WorkerServiceAsyncStub

Answer = TypeVar("Answer")

Run, Simulation = run_pb2.Run, simulation_pb2.Simulation
LOOKBACK, LOOKAHEAD, ROWS = 20, 6, 1609
PATIENCE_SECONDS = 20.0


@dataclass(frozen=True, kw_only=True)
class Service:
    runs: RunServiceAsyncStub
    simulations: SimulationServiceAsyncStub
    workers: WorkerServiceAsyncStub
    channel: Channel
    dsn: str
    data_dir: Path

    async def ask(self, call: Awaitable[Answer]) -> Answer:
        """Raises what the service raises."""
        with refusals():
            return await call

    async def create(self, spec: plan_pb2.RunSpec, **given: str) -> str:
        answer = await self.ask(self.runs.CreateRun(pb.CreateRunRequest(spec=spec, **given)))
        return answer.run.run_id

    async def run(self, run_id: str) -> run_pb2.Run:
        return (await self.ask(self.runs.GetRun(pb.GetRunRequest(run_id=run_id)))).run

    async def folds(self, run_id: str) -> list[run_pb2.Fold]:
        answer = await self.ask(self.runs.ListFolds(pb.ListFoldsRequest(run_id=run_id)))
        return list(answer.folds)

    async def cancel(self, run_id: str) -> run_pb2.Run:
        return (await self.ask(self.runs.CancelRun(pb.CancelRunRequest(run_id=run_id)))).run

    async def delete(self, run_id: str) -> None:
        await self.ask(self.runs.DeleteRun(pb.DeleteRunRequest(run_id=run_id)))

    async def watch(self, run_id: str, after: int = 0) -> AsyncIterator[run_pb2.Event]:
        request = pb.WatchRunRequest(run_id=run_id, after_sequence=after)
        with refusals():
            async for response in self.runs.WatchRun(request):
                yield response.event

    async def events(self, run_id: str, after: int = 0) -> list[run_pb2.Event]:
        """All until the run has ended."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            return [event async for event in self.watch(run_id, after)]

    async def until(self, run_id: str, kind: str) -> run_pb2.Event:
        """The first event of a kind."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            async for event in self.watch(run_id):
                if event.WhichOneof("kind") == kind:
                    return event
        raise AssertionError(f"The run ended without {kind}.")

    async def stored(self, run_id: str, folds: int) -> None:
        """Returns when so many folds are."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            async for event in self.watch(run_id):
                if event.fold_completed.folds_completed == folds:
                    return

    async def ended(self, run_id: str) -> run_pb2.Run:
        await self.events(run_id)
        return await self.run(run_id)

    async def with_figures(self, run_id: str) -> run_pb2.Run:
        """A run that ended, once it has been pooled."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while True:
                run = await self.run(run_id)
                if run.HasField("summary_metrics"):
                    return run
                await asyncio.sleep(0.01)

    async def read(self, method: str, request: Message) -> pa.Table:
        path = f"/stage1.runs.v1.{method}"
        parts = [bytes(part) async for part in read_ipc(self.channel, path, request)]
        return pa.ipc.open_stream(b"".join(parts)).read_all()

    async def predictions(self, run_id: str, **given: Any) -> pa.Table:
        request = pb.ReadPredictionsRequest(run_id=run_id, **given)
        return await self.read("RunService/ReadPredictions", request)

    async def simulate(self, run_id: str, **settings: Any) -> str:
        request = simulations_pb.CreateSimulationRequest(
            run_id=run_id, settings=simulation_pb2.SimulationSettings(**settings)
        )
        answer = await self.ask(self.simulations.CreateSimulation(request))
        return answer.simulation.simulation_id

    async def simulation(self, simulation_id: str) -> simulation_pb2.Simulation:
        request = simulations_pb.GetSimulationRequest(simulation_id=simulation_id)
        return (await self.ask(self.simulations.GetSimulation(request))).simulation

    async def simulation_events(self, simulation_id: str) -> list[run_pb2.Event]:
        request = simulations_pb.WatchSimulationRequest(simulation_id=simulation_id)
        async with asyncio.timeout(PATIENCE_SECONDS):
            return [r.event async for r in self.simulations.WatchSimulation(request)]

    async def simulation_ended(self, simulation_id: str) -> simulation_pb2.Simulation:
        await self.simulation_events(simulation_id)
        return await self.simulation(simulation_id)

    async def register(self, worker: workers_pb.Worker) -> None:
        await self.ask(self.workers.RegisterWorker(workers_pb.RegisterWorkerRequest(worker=worker)))

    @asynccontextmanager
    async def peer(self, peer: ScriptedTrainer | ScriptedSimulator) -> AsyncIterator[None]:
        """Registered until the block ends; then it is gone as after 15 s of silence."""
        async with listening(peer) as worker:
            await self.register(worker)
            yield
            async with await psycopg.AsyncConnection.connect(self.dsn) as connection:
                await connection.execute(
                    "DELETE FROM runs.workers WHERE worker_id = %s", [worker.worker_id]
                )

    def tables(self) -> set[str]:
        folder = self.data_dir / "runs" / "series"
        return {path.name for path in folder.iterdir() if not path.name.startswith(".")}

    def models(self, run_id: str) -> set[str]:
        folder = self.data_dir / "runs" / "models" / run_id.replace("-", "")
        return {path.name for path in folder.iterdir()} if folder.is_dir() else set()


@asynccontextmanager
async def dataset_service(dsn: str, data_dir: Path) -> AsyncIterator[tuple[DatasetClient, int]]:
    """A client of it, and its port."""
    settings = DatasetSettings(
        postgres_dsn=SecretStr(dsn), data_dir=data_dir, listen="127.0.0.1:0", drain_seconds=1
    )
    async with (
        dataset_running(settings) as server,
        client.channel(f"127.0.0.1:{server.port}", token=None) as channel,
    ):
        stub = DatasetServiceStub(channel)
        yield DatasetClient(stub=stub, channel=channel, data_dir=data_dir), server.port


@asynccontextmanager
async def runs_service(dsn: str, data_dir: Path, dataset_port: int) -> AsyncIterator[Service]:
    settings = RunsSettings(
        listen="127.0.0.1:0",
        dataset_address=f"127.0.0.1:{dataset_port}",
        postgres_dsn=SecretStr(dsn),
        data_dir=data_dir,
        drain_seconds=1,
    )
    async with (
        running(settings) as server,
        client.channel(f"127.0.0.1:{server.port}", token=None) as channel,
    ):
        yield Service(
            runs=RunServiceStub(channel),
            simulations=SimulationServiceStub(channel),
            workers=WorkerServiceStub(channel),
            channel=channel,
            dsn=dsn,
            data_dir=data_dir,
        )


async def published(dataset: DatasetClient, slug: str, rows: int = ROWS) -> str:
    """A dataset of hourly bars whose indicators have so many rows; its id."""
    times = hourly(rows + LOOKBACK + LOOKAHEAD)
    bars = bar_file(times)
    indicators = indicator_file(times[LOOKBACK : LOOKBACK + rows])
    answer = await dataset.publish(header_of(slug), bars, indicators)
    return answer.dataset.dataset_id


def spec(dataset: str, **walk: Any) -> plan_pb2.RunSpec:
    """Folds of 50 rows over 600; over 1,609 rows there are 19 of them."""
    given = {"train_size": 600, "test_size": 50, "fold_step": 50, "train_test_gap": 9} | walk
    return plan_pb2.RunSpec(dataset=dataset, walk_forward=plan_pb2.WalkForward(**given))


def kinds(events: Iterable[run_pb2.Event]) -> list[str]:
    return [str(event.WhichOneof("kind")) for event in events]


def states(events: Iterable[run_pb2.Event]) -> list[str]:
    return [e.state_changed.state for e in events if e.WhichOneof("kind") == "state_changed"]
