"""The services behind the gateway."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING

from grpc.aio import AioRpcError
from grpc_status import rpc_status
from stage1.dataset.v1.dataset_pb2 import Manifest
from stage1.dataset.v1.dataset_service_pb2 import GetDatasetRequest, GetManifestRequest
from stage1.dataset.v1.dataset_service_pb2_grpc import DatasetServiceStub
from stage1.runs.v1.run_service_pb2_grpc import RunServiceStub
from stage1.runs.v1.simulation_service_pb2_grpc import SimulationServiceStub
from stage1.runs.v1.worker_service_pb2_grpc import WorkerServiceStub

from gateway.http.settings import GatewaySettings
from gateway.http.shapes import words
from services.shared.errors import InvalidRequest, Stage1Error, Unavailable, Violation
from services.shared.rpc import client, status
from services.shared.rpc.client import Channel
from services.shared.uuids import uuid_of

if TYPE_CHECKING:
    from stage1.dataset.v1.dataset_service_pb2_grpc import DatasetServiceAsyncStub
    from stage1.runs.v1.run_service_pb2_grpc import RunServiceAsyncStub
    from stage1.runs.v1.simulation_service_pb2_grpc import SimulationServiceAsyncStub
    from stage1.runs.v1.worker_service_pb2_grpc import WorkerServiceAsyncStub


class Peers:
    def __init__(self, *, dataset: Channel, runs: Channel) -> None:
        self.channels = {"dataset": dataset, "runs": runs}
        self.datasets: DatasetServiceAsyncStub = DatasetServiceStub(dataset)
        self.runs: RunServiceAsyncStub = RunServiceStub(runs)
        self.simulations: SimulationServiceAsyncStub = SimulationServiceStub(runs)
        self.workers: WorkerServiceAsyncStub = WorkerServiceStub(runs)


@asynccontextmanager
async def connected(settings: GatewaySettings) -> AsyncIterator[Peers]:
    async with (
        client.channel(settings.dataset_address, token=settings.token) as dataset,
        client.channel(settings.runs_address, token=settings.token) as runs,
    ):
        yield Peers(dataset=dataset, runs=runs)


@contextmanager
def asking(service: str, files: Sequence[str] = words.FILES) -> Iterator[None]:
    """Calls in the block raise what the service raised; the transport's own words stay inside.

    `files`: the fields that the parts of an upload came in.
    """
    try:
        yield
    except AioRpcError as call:
        error = status.from_call(call)
        if isinstance(error, Unavailable) and rpc_status.from_call(call) is None:
            raise Unavailable(f"The {service} service cannot be reached.") from call
        raise _in_callers_words(error, files) from call


def _in_callers_words(error: Stage1Error, files: Sequence[str]) -> Stage1Error:
    if not isinstance(error, InvalidRequest):
        return error
    renamed = [
        Violation(words.field(v.field, files), words.sentence(v.message)) for v in error.violations
    ]
    return InvalidRequest(renamed, reason=error.reason)


async def manifest_of(peers: Peers, dataset: str, version: int | None) -> Manifest:
    """Of the newest version without one."""
    with asking("dataset"):
        answer = await peers.datasets.GetManifest(
            GetManifestRequest(dataset=dataset, version=version or 0)
        )
    return answer.manifest


async def dataset_id_of(peers: Peers, name: str) -> str:
    """By which runs know a dataset. A UUID stays as it is: its dataset may be deleted."""
    if not name or uuid_of(name):
        return name
    with asking("dataset"):
        answer = await peers.datasets.GetDataset(GetDatasetRequest(dataset=name))
    return answer.dataset.dataset_id
