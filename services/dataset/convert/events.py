"""Watches: from which cursor of which dataset, and what is told."""

from __future__ import annotations

from typing import Final
from uuid import UUID

from stage1.dataset.v1 import dataset_service_pb2 as pb

from services.dataset.convert.checks import Checks
from services.dataset.domain.events import Event, EventKind, Heartbeat

_KINDS: Final = {kind: pb.WatchDatasetsResponse.Kind.Value(f"KIND_{kind}") for kind in EventKind}


def watch(request: pb.WatchDatasetsRequest) -> tuple[int | None, UUID | str | None]:
    checks = Checks()
    cursor = request.cursor
    after = int(cursor) if cursor.isascii() and cursor.isdigit() and len(cursor) < 19 else None
    if cursor and after is None:
        checks.refuse("cursor", "is none that was given out")
    name = checks.name("dataset", request.dataset) if request.dataset else None
    checks.done()
    return after, name


def told(event: Event | Heartbeat) -> pb.WatchDatasetsResponse:
    if isinstance(event, Heartbeat):
        return pb.WatchDatasetsResponse(cursor=str(event.sequence), at_ms=event.at_ms)
    return pb.WatchDatasetsResponse(
        cursor=str(event.sequence),
        kind=_KINDS[event.kind],
        dataset_id=str(event.dataset_id),
        dataset_slug=event.slug,
        version=event.version,
        at_ms=event.at_ms,
    )
