"""What runs, and whether it is well."""

from __future__ import annotations

import platform
from importlib.metadata import version

from fastapi import APIRouter, Response
from stage1.runs.v1 import worker_service_pb2 as pb

from gateway.http import health
from gateway.http.deps import PeersDep, SettingsDep
from gateway.http.peers import asking
from gateway.http.schemas import system as schemas
from gateway.http.shapes.words import word

router = APIRouter(tags=["system"])


@router.get("/livez")
async def livez() -> schemas.Alive:
    """This process answers."""
    return schemas.Alive(status="ok")


@router.get("/readyz", responses={503: {"model": schemas.Ready}})
async def readyz(peers: PeersDep, response: Response) -> schemas.Ready:
    """200 when dataset and runs serve, 503 when not."""
    states = await health.states(peers)
    if all(state == health.SERVING for state in states.values()):
        return schemas.Ready(status="ready")
    response.status_code = 503
    return schemas.Ready(status="not ready")


@router.get("/healthz", responses={503: {"model": schemas.Health}})
async def healthz(peers: PeersDep, settings: SettingsDep, response: Response) -> schemas.Health:
    """The state of every dependency; 503 when one is away."""
    found = await health.examine(peers, settings)
    if found.status != "ok":
        response.status_code = 503
    return found


@router.get("/api/version")
async def get_version() -> schemas.VersionAnswer:
    """Of Stage1 and of Python."""
    return schemas.VersionAnswer(version=version("stage1"), python=platform.python_version())


@router.get("/api/workers")
async def list_workers(peers: PeersDep) -> schemas.WorkerList:
    """Trainers and simulators that are registered and heard of."""
    with asking("runs"):
        answer = await peers.workers.ListWorkers(pb.ListWorkersRequest())
    workers = [_worker(w) for w in answer.workers]
    return schemas.WorkerList(workers=workers, count=len(workers))


def _worker(proto: pb.Worker) -> schemas.Worker:
    return schemas.Worker(
        worker_id=proto.worker_id,
        kind=word(pb.Worker.Kind, proto.kind, "KIND_"),
        address=proto.address,
        device=proto.device,
        memory_bytes=proto.memory_bytes,
        slots=proto.slots,
        busy=proto.busy,
        versions=dict(sorted(proto.versions.items())),
        last_seen_ms=proto.last_seen_ms,
    )
