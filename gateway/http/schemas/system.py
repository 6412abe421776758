"""What runs, as clients read it."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from gateway.http.schemas.common import Answer


class Alive(Answer):
    status: Literal["ok"]


class Ready(Answer):
    status: Literal["ready", "not ready"]


class Dependency(Answer):
    status: str = Field(description="SERVING, NOT_SERVING or UNREACHABLE")
    address: str


class Health(Answer):
    status: Literal["ok", "degraded"]
    services: dict[str, Dependency]
    trainers: int | None = Field(description="Registered; null when runs cannot be asked.")
    simulators: int | None


class VersionAnswer(Answer):
    version: str
    python: str


class Worker(Answer):
    worker_id: str
    kind: str = Field(description="trainer or simulator")
    address: str
    device: str
    memory_bytes: int
    slots: int
    busy: int
    versions: dict[str, str]
    last_seen_ms: int


class WorkerList(Answer):
    workers: list[Worker]
    count: int
