"""What happens to datasets, as it happens."""

from __future__ import annotations

from typing import Annotated, Any, Final

from fastapi import APIRouter, Query, Request, Response
from stage1.dataset.v1.dataset_service_pb2 import GetDatasetRequest
from starlette.responses import StreamingResponse

from gateway.http import dataset_events
from gateway.http.deps import PeersDep
from gateway.http.peers import asking
from gateway.http.schemas.datasets import EventQuery

router = APIRouter(prefix="/api/datasets", tags=["datasets"])
_EVENTS: Final[dict[str, Any]] = {
    "response_class": Response,
    "responses": {
        200: {
            "description": "Events `published`, `updated` and `deleted` with `{at, dataset_id, "
            "dataset_slug, version}`; Last-Event-ID goes on after one, and 0 means all that "
            "are kept.",
            "content": {"text/event-stream": {"schema": {"type": "string"}}},
        }
    },
}


@router.get("/events", **_EVENTS)
async def watch_datasets(
    peers: PeersDep, request: Request, query: Annotated[EventQuery, Query()]
) -> Response:
    """New versions, changes and removals, until the caller leaves."""
    cursor = dataset_events.cursor_of(request)
    if query.dataset:
        with asking("dataset"):
            await peers.datasets.GetDataset(GetDatasetRequest(dataset=query.dataset))
    events = dataset_events.messages(peers, query.dataset, cursor)
    return StreamingResponse(events, media_type="text/event-stream")
