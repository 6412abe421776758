"""What happens to datasets as server-sent events, from where the caller was.

Every event has the cursor after it as its id, and so has a sign of life: a browser that comes
back with Last-Event-ID misses none. There is no end.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any, Final

import orjson
from fastapi import Request
from fastapi.sse import format_sse_event
from stage1.dataset.v1 import dataset_service_pb2 as pb

from gateway.http.numbers import quoted
from gateway.http.peers import Peers, asking
from gateway.http.shapes.words import iso, word
from services.shared.errors import DeadlineExceeded, InvalidRequest, Violation

_RETRY_MS: Final = 2000
_MOST_CHARACTERS: Final = 1024


def cursor_of(request: Request) -> str:
    """Empty: from now on."""
    cursor = request.headers.get("last-event-id", "")
    if len(cursor) > _MOST_CHARACTERS or not cursor.isascii():
        message = f"is {quoted(cursor)}, which no event had as its id"
        raise InvalidRequest([Violation("Last-Event-ID", message)])
    return cursor


async def messages(peers: Peers, dataset: str, cursor: str) -> AsyncIterator[bytes]:
    yield format_sse_event(retry=_RETRY_MS)
    async with aclosing(_followed(peers, dataset, cursor)) as events:
        async for event in events:
            yield _message(event)


async def _followed(peers: Peers, dataset: str, cursor: str) -> Any:
    """Beyond the deadline of one watch call."""
    while True:
        asked = pb.WatchDatasetsRequest(cursor=cursor, dataset=dataset)
        try:
            with asking("dataset"):
                async for event in peers.datasets.WatchDatasets(asked):
                    cursor = event.cursor or cursor
                    yield event
        except DeadlineExceeded:
            continue


def _message(event: pb.WatchDatasetsResponse) -> bytes:
    if not event.kind:
        return format_sse_event(comment="heartbeat", id=event.cursor or None)
    data = {
        "at": iso(event.at_ms),
        "dataset_id": event.dataset_id,
        "dataset_slug": event.dataset_slug,
        "version": event.version,
    }
    kind = word(pb.WatchDatasetsResponse.Kind, event.kind, "KIND_")
    return format_sse_event(event=kind, data_str=orjson.dumps(data).decode(), id=event.cursor)
