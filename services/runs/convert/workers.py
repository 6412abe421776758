"""Workers, as they register and as they are listed."""

from __future__ import annotations

import re
from typing import Final

from stage1.runs.v1 import worker_service_pb2 as pb

from services.runs.convert.checks import MAX_NAME, Checks
from services.runs.domain.workers import Kind, Worker

_KINDS: Final = {pb.Worker.KIND_TRAINER: Kind.TRAINER, pb.Worker.KIND_SIMULATOR: Kind.SIMULATOR}


def worker_from(message: pb.Worker) -> Worker:
    checks = Checks()
    if message.kind not in _KINDS:
        checks.refuse("worker.kind", "is missing, and may be TRAINER or SIMULATOR")
    if message.device not in ("cpu", "cuda"):
        checks.refuse("worker.device", f"is {message.device!r}, and may be cpu or cuda")
    if not re.fullmatch(r"[\w.\-\[\]:]{1,255}:\d{1,5}", message.address):
        checks.refuse("worker.address", f"is {message.address!r}, which is not host:port")
    for text in (text for item in message.versions.items() for text in item):
        checks.text("worker.versions", text, MAX_NAME)
    worker = Worker(
        worker_id=checks.uuid("worker.worker_id", message.worker_id),
        kind=_KINDS.get(message.kind, Kind.TRAINER),
        address=message.address,
        device=message.device,
        memory_bytes=checks.between("worker.memory_bytes", message.memory_bytes, 0, 2**63 - 1),
        slots=checks.between("worker.slots", message.slots, 1, 10_000),
        versions=dict(message.versions),
    )
    checks.done()
    return worker


def worker(worker: Worker) -> pb.Worker:
    return pb.Worker(
        worker_id=str(worker.worker_id),
        kind=pb.Worker.Kind.Value(f"KIND_{worker.kind}"),
        address=worker.address,
        device=worker.device,
        memory_bytes=worker.memory_bytes,
        slots=worker.slots,
        versions=worker.versions,
        last_seen_ms=worker.last_seen_ms,
        busy=worker.busy,
    )
