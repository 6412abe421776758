"""Whether what is stored is what was published."""

from __future__ import annotations

from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Form, Query, Request, Response
from stage1.dataset.v1 import dataset_service_pb2 as pb
from stage1.dataset.v1 import import_pb2
from starlette.responses import StreamingResponse

from gateway.http import accept, verifying
from gateway.http.deps import DatasetName, PeersDep
from gateway.http.media import MayBeEmpty
from gateway.http.peers import asking
from gateway.http.schemas import checks as schemas
from gateway.http.schemas import uploads
from gateway.http.shapes import checks as shapes
from gateway.http.uploading import parts

router = APIRouter(tags=["checks"], route_class=MayBeEmpty)
_JSON: Final = "application/json"
_EVENTS: Final = "text/event-stream"
_REPORT: Final[dict[str, Any]] = {
    "response_model": None,
    "responses": {
        200: {
            "model": schemas.VerifyReport,
            "description": "The report; with `Accept: text/event-stream` events `progress` "
            "`{rows, total_rows}` and at the end `report`, or `refused` with an error.",
            "content": {_EVENTS: {"schema": {"type": "string"}}},
        }
    },
}


@router.post(
    "/api/datasets/{dataset}/verify",
    form_limits={"max_files": 2, "max_fields": 64},
    dependencies=[Depends(parts.each_once)],
    **_REPORT,
)
async def verify_dataset(
    peers: PeersDep,
    request: Request,
    dataset: DatasetName,
    query: Annotated[schemas.VerifyQuery, Query()],
    form: Annotated[uploads.VerifyForm, Form(media_type="multipart/form-data")],
) -> Response:
    """Reads a version back whole and holds it against its manifest; with files, also against these.

    A finding is an answer, not a refusal.
    """
    files = parts.files_of(form)
    header = import_pb2.VerifyHeader(
        dataset=dataset,
        version=query.version or 0,
        parts=[part.options for part in files],
        sample_rows=query.sample_rows,
        partial=query.partial,
    )
    first = pb.VerifyDatasetRequest(header=header)
    sent = parts.messages(first, files, lambda piece: pb.VerifyDatasetRequest(bytes=piece))
    steps = verifying.steps(peers, sent, parts.fields_of(files))
    if accept.best(request.headers.get("accept", ""), [_JSON, _EVENTS]) == _EVENTS:
        return StreamingResponse(await verifying.events(steps), media_type=_EVENTS)
    report = await verifying.report(steps)
    return Response(report.model_dump_json(), media_type=_JSON)


@router.get("/api/store/check")
async def check_store(peers: PeersDep) -> schemas.StoreCheck:
    """Holds the catalogue and the series store against each other."""
    with asking("dataset"):
        return shapes.store(await peers.datasets.CheckStore(pb.CheckStoreRequest()))
