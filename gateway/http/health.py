"""The state of what the gateway depends on, asked with gRPC's own health protocol."""

from __future__ import annotations

import asyncio
from typing import Any, Final

from grpc.aio import AioRpcError
from grpc_health.v1 import health_pb2, health_pb2_grpc
from stage1.runs.v1 import worker_service_pb2 as pb

from gateway.http.peers import Peers
from gateway.http.schemas.system import Dependency, Health
from gateway.http.settings import GatewaySettings
from services.shared.rpc.client import Channel

SERVING: Final = "SERVING"
UNREACHABLE: Final = "UNREACHABLE"
_SECONDS: Final = 2.0


async def examine(peers: Peers, settings: GatewaySettings) -> Health:
    found, counted = await asyncio.gather(states(peers), _workers(peers))
    addresses = {"dataset": settings.dataset_address, "runs": settings.runs_address}
    trainers, simulators = counted
    well = all(state == SERVING for state in found.values()) and trainers and simulators
    return Health(
        status="ok" if well else "degraded",
        services={
            name: Dependency(status=state, address=addresses[name]) for name, state in found.items()
        },
        trainers=trainers,
        simulators=simulators,
    )


async def states(peers: Peers) -> dict[str, str]:
    """By service: SERVING, NOT_SERVING or UNREACHABLE."""
    found = await asyncio.gather(*(_state(channel) for channel in peers.channels.values()))
    return dict(zip(peers.channels, found, strict=True))


async def _state(channel: Channel) -> str:
    stub: Any = health_pb2_grpc.HealthStub(channel)  # its types leave the calls out
    try:
        answer = await stub.Check(health_pb2.HealthCheckRequest(), timeout=_SECONDS)
    except AioRpcError:
        return UNREACHABLE
    return str(health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status))


async def _workers(peers: Peers) -> tuple[int | None, int | None]:
    try:
        answer = await peers.workers.ListWorkers(pb.ListWorkersRequest(), timeout=_SECONDS)
    except AioRpcError:
        return None, None
    kinds = [worker.kind for worker in answer.workers]
    return kinds.count(pb.Worker.KIND_TRAINER), kinds.count(pb.Worker.KIND_SIMULATOR)
