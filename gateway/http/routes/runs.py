"""Walk-forward runs."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated, Any, Final

import polars as pl
from fastapi import APIRouter, Query, Request, Response
from stage1.dataset.v1.dataset_service_pb2 import GetDatasetRequest
from stage1.runs.v1 import run_pb2
from stage1.runs.v1 import run_service_pb2 as pb

from gateway.http import events, folds, stream
from gateway.http.deps import DatasetName, IdempotencyKey, PeersDep, RunId
from gateway.http.lists import PAGE, collect
from gateway.http.media import OneMediaType
from gateway.http.numbers import natural, quoted
from gateway.http.peers import Peers, asking, dataset_id_of
from gateway.http.schemas import runs as schemas
from gateway.http.schemas.common import Page
from gateway.http.shapes import runs as shapes
from gateway.http.shapes.words import PREDICTION_COLUMNS
from services.shared.errors import InvalidRequest, Violation

router = APIRouter(tags=["runs"], route_class=OneMediaType)
_READ: Final = "/stage1.runs.v1.RunService/ReadPredictions"
_OFFERED: Final[tuple[stream.Format, ...]] = ("csv", "json")
_OUR_COLUMNS: Final = {theirs: ours for ours, theirs in PREDICTION_COLUMNS.items()}
_PREDICTIONS: Final[dict[int | str, dict[str, Any]]] = {
    200: {
        "description": "timestamp_ms, bar_index, fold_number, prediction, target, long_threshold, "
        'short_threshold; as JSON `{"columns": […], "dataset": [[…]], "count": n}`.',
        "content": {stream.MEDIA_TYPES[f]: {"schema": {"type": "string"}} for f in _OFFERED},
    }
}


@router.post("/api/runs/plan")
async def plan_run(peers: PeersDep, spec: schemas.RunSpec) -> schemas.Plan:
    """What the run would do; nothing is stored."""
    with asking("runs"):
        answer = await peers.runs.PlanRun(pb.PlanRunRequest(spec=shapes.spec(spec)))
    return shapes.plan(answer.plan)


@router.post("/api/runs", status_code=202, response_model=schemas.RunDetail)
async def create_run(peers: PeersDep, body: schemas.NewRun, key: IdempotencyKey = "") -> Response:
    """Plans and queues a run; its address is in Location."""
    with asking("runs"):
        answer = await peers.runs.CreateRun(
            pb.CreateRunRequest(idempotency_key=key, name=body.name, spec=shapes.spec(body))
        )
    planned = [run_pb2.Fold(planned=fold) for fold in answer.plan.folds]
    headers = {"location": f"/api/runs/{answer.run.run_id}"}
    pages = folds.cut(planned)
    return await folds.detail(answer.run, pages, status=HTTPStatus.ACCEPTED, headers=headers)


@router.get("/api/runs")
@router.get("/api/walkforward/runs", deprecated=True, operation_id="list_walkforward_runs")
async def list_runs(
    peers: PeersDep, query: Annotated[schemas.RunQuery, Query()]
) -> schemas.RunList:
    """Runs, newest first."""
    asked = pb.ListRunsRequest(
        dataset_id=await dataset_id_of(peers, query.dataset_id),
        dataset_slug=query.slug,
        state=run_pb2.Run.State.Value(f"STATE_{query.status or 'UNSPECIFIED'}"),
        target_column=query.target,
        text=query.text,
    )
    return await _listed(peers, asked, query)


@router.get("/api/datasets/{dataset}/runs")
async def runs_of_dataset(
    peers: PeersDep, dataset: DatasetName, query: Annotated[Page, Query()]
) -> schemas.RunList:
    """Runs on any version of a dataset, newest first."""
    with asking("dataset"):
        known = await peers.datasets.GetDataset(GetDatasetRequest(dataset=dataset))
    asked = pb.ListRunsRequest(dataset_id=known.dataset.dataset_id)
    return await _listed(peers, asked, query)


async def _listed(peers: Peers, asked: pb.ListRunsRequest, query: Page) -> schemas.RunList:
    async def page(size: int, token: str, skip: int) -> pb.ListRunsResponse:
        asked.page_size, asked.page_token, asked.skip = size, token, skip
        return await peers.runs.ListRuns(asked)

    with asking("runs"):
        found, token = await collect(
            page,
            lambda answer: list(answer.runs),
            limit=query.limit,
            page_token=query.page_token,
            offset=query.offset,
        )
    runs = [shapes.run(r) for r in found]
    return schemas.RunList(runs=runs, count=len(runs), next_page_token=token)


@router.get("/api/runs/{run_id}", response_model=schemas.RunDetail)
@router.get(
    "/api/walkforward/runs/{run_id}",
    response_model=schemas.RunDetail,
    deprecated=True,
    operation_id="get_walkforward_run",
)
async def get_run(peers: PeersDep, run_id: RunId) -> Response:
    """A run as it stands, with its folds."""
    return await folds.detail(await _run(peers, run_id), _folds(peers, run_id))


@router.get("/api/runs/{run_id}/folds", response_model=schemas.FoldList)
async def list_folds(peers: PeersDep, run_id: RunId) -> Response:
    """All folds in order; what a fold gave is null until it is stored."""
    return await folds.listed(_folds(peers, run_id))


@router.get("/api/runs/{run_id}/predictions", responses=_PREDICTIONS, response_class=Response)
async def read_predictions(
    peers: PeersDep,
    request: Request,
    run_id: RunId,
    query: Annotated[schemas.PredictionsQuery, Query()],
) -> Response:
    """Predictions of the stored folds, by fold, then time."""
    names = [name for name in query.columns.split(",") if name]
    asked = pb.ReadPredictionsRequest(
        run_id=run_id,
        folds=_fold_numbers(query.folds),
        start_ts_ms=query.start_ts_ms,
        end_ts_ms=query.end_ts_ms,
        columns=[_OUR_COLUMNS.get(name, name) for name in names],
    )
    channel = peers.channels["runs"]
    if stream.chosen(query.format, request, _OFFERED) == "json":
        return await stream.json_table(channel, _READ, asked, reshape=_renamed)
    file_name = f"predictions_{run_id}.csv"
    return await stream.csv(channel, _READ, asked, reshape=_renamed, file_name=file_name)


@router.get("/api/runs/{run_id}/events", response_class=Response)
async def watch_run(peers: PeersDep, request: Request, run_id: RunId) -> Response:
    """Server-sent events, from Last-Event-ID on; heartbeats are comments."""
    after = events.after_sequence(request)
    run = await _run(peers, run_id)
    return await events.answer(
        lambda after: peers.runs.WatchRun(pb.WatchRunRequest(run_id=run_id, after_sequence=after)),
        after,
        status=shapes.status(run),
    )


@router.post("/api/runs/{run_id}/cancel")
async def cancel_run(peers: PeersDep, run_id: RunId) -> schemas.Run:
    """Ends a run that has not ended; the folds stored before stay readable."""
    with asking("runs"):
        answer = await peers.runs.CancelRun(pb.CancelRunRequest(run_id=run_id))
    return shapes.run(answer.run)


@router.delete("/api/runs/{run_id}", status_code=204)
async def delete_run(peers: PeersDep, run_id: RunId) -> None:
    """Removes a run that has ended, with its predictions and simulations."""
    with asking("runs"):
        await peers.runs.DeleteRun(pb.DeleteRunRequest(run_id=run_id))


async def _run(peers: Peers, run_id: str) -> run_pb2.Run:
    with asking("runs"):
        return (await peers.runs.GetRun(pb.GetRunRequest(run_id=run_id))).run


async def _folds(peers: Peers, run_id: str) -> folds.Pages:
    asked, is_last = pb.ListFoldsRequest(run_id=run_id, page_size=PAGE), False
    while not is_last:
        with asking("runs"):
            answer = await peers.runs.ListFolds(asked)
        asked.page_token, is_last = answer.next_page_token, not answer.next_page_token
        yield folds.Page(folds=answer.folds, is_last=is_last)


def _fold_numbers(text: str) -> list[int]:
    return [_fold_number(part.strip()) for part in text.split(",") if part.strip()]


def _fold_number(text: str) -> int:
    number = natural(text, below=2**31)
    if number is None:
        message = f"has {quoted(text)}, which is no fold number"
        raise InvalidRequest([Violation("folds", message)])
    return number


def _renamed(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.rename(dict(PREDICTION_COLUMNS), strict=False)
