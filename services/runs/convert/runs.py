"""Requests about runs, and runs, folds and events as answers."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from google.protobuf.message import Message
from stage1.runs.v1 import run_pb2
from stage1.runs.v1 import run_service_pb2 as pb

from services.runs.app.once import Once
from services.runs.app.runs import WantedPredictions
from services.runs.clients import messages
from services.runs.convert import specs
from services.runs.convert.checks import MAX_NAME, Checks, fitting
from services.runs.domain import events
from services.runs.domain.folds import Fold
from services.runs.domain.runs import Run, RunSpec
from services.runs.storage.protocol import Page, RunFilter
from services.runs.storage.series import COLUMNS

FOLDS_PAGE: Final = 100
_MOST_FOLDS_PAGE: Final = 200


def planned_spec(request: pb.PlanRunRequest) -> RunSpec:
    checks = Checks()
    spec = specs.spec_from(request.spec, checks)
    checks.done()
    return spec


def creation(request: pb.CreateRunRequest) -> tuple[RunSpec, str, Once | None]:
    checks = Checks()
    spec = specs.spec_from(request.spec, checks)
    name = checks.text("name", request.name, MAX_NAME)
    body = pb.CreateRunRequest(name=request.name, spec=request.spec)
    repeatable = once("CreateRun", request.idempotency_key, body, checks)
    checks.done()
    return spec, name, repeatable


def once(method: str, key: str, body: Message, checks: Checks) -> Once | None:
    """`body` is the request without its key. None without a key: then it is not repeatable."""
    digest = hashlib.sha256(body.SerializeToString(deterministic=True)).digest()
    checks.text("idempotency_key", key, 128)
    return Once(method=method, key=key, body_sha256=digest) if key else None


def listing(request: pb.ListRunsRequest) -> tuple[RunFilter, Page]:
    checks = Checks()
    wanted = RunFilter(
        dataset_id=checks.uuid_or_any("dataset_id", request.dataset_id),
        dataset_slug=checks.text("dataset_slug", request.dataset_slug, MAX_NAME) or None,
        state=checks.state(request.state),
        target=checks.text("target_column", request.target_column, MAX_NAME) or None,
        text=checks.text("text", request.text, MAX_NAME) or None,
    )
    page = checks.page(request.page_size, request.page_token, request.skip)
    checks.done()
    return wanted, page


def folds_page(request: pb.ListFoldsRequest) -> tuple[int, int]:
    """First fold number wanted, and how many."""
    checks = Checks()
    size = checks.between("page_size", request.page_size, 0, _MOST_FOLDS_PAGE) or FOLDS_PAGE
    token = request.page_token or "0"
    if not token.isdecimal() or len(token) > 9:
        checks.refuse("page_token", f"is {token!r}, which no answer gave")
    checks.done()
    return int(token), size


def folds_answer(folds: Sequence[Fold], size: int) -> pb.ListFoldsResponse:
    taken = fitting(map(fold, folds))
    last = len(taken) == len(folds) < size
    token = "" if last else str(taken[-1].planned.fold + 1)
    return pb.ListFoldsResponse(folds=taken, next_page_token=token)


def wanted_predictions(request: pb.ReadPredictionsRequest) -> WantedPredictions:
    checks = Checks()
    for name, count in Counter(request.columns).items():
        if name not in COLUMNS:
            checks.refuse("columns", f"name {name!r}; there are {', '.join(COLUMNS)}")
        if count > 1:
            checks.refuse("columns", f"name {name!r} more than once")
    bounds = messages.unset_as_none(request, ["start_ts_ms", "end_ts_ms"])
    start, end = bounds["start_ts_ms"], bounds["end_ts_ms"]
    if start is not None and end is not None and start > end:
        checks.refuse("end_ts_ms", f"is {end}, before start_ts_ms, which is {start}")
    checks.done()
    return WantedPredictions(
        folds=frozenset(request.folds),
        columns=tuple(request.columns) or COLUMNS,
        start_ms=start,
        end_ms=end,
    )


def run(run: Run) -> run_pb2.Run:
    progression = run.progression
    return run_pb2.Run(
        run_id=str(run.run_id),
        name=run.name,
        state=run_pb2.Run.State.Value(f"STATE_{run.state}"),
        error=progression.error,
        plan=specs.plan(replace(run.plan, folds=())),
        fold_count=run.fold_count,
        folds_completed=run.folds_completed,
        folds_learned_nothing=run.folds_learned_nothing,
        summary_metrics=messages.struct(run.summary),
        environment=messages.struct(run.environment),
        attempt=progression.attempt,
        created_at_ms=progression.created_at_ms,
        started_at_ms=progression.started_at_ms,
        completed_at_ms=progression.completed_at_ms,
    )


def fold(fold: Fold) -> run_pb2.Fold:
    result = messages.fold_result(fold.result) if fold.result else None
    return run_pb2.Fold(planned=messages.planned_fold(fold.planned), result=result)


def event(event: events.Event) -> run_pb2.Event:
    message = run_pb2.Event(sequence=event.sequence, at_ms=event.at_ms)
    match event.kind:
        case events.StateChanged(state, error):
            message.state_changed.state = state
            message.state_changed.error = error
        case events.FoldStarted(number, attempt):
            message.fold_started.fold = number
            message.fold_started.attempt = attempt
        case events.FoldCompleted():
            message.fold_completed.CopyFrom(_fold_completed(event.kind))
        case events.Progress():
            message.progress.CopyFrom(run_pb2.Progress(**vars(event.kind)))
        case events.Log(text):
            message.log.text = text
        case events.Heartbeat():
            message.heartbeat.SetInParent()
    return message


def _fold_completed(kind: events.FoldCompleted) -> run_pb2.FoldCompleted:
    return run_pb2.FoldCompleted(
        fold=kind.fold,
        result=messages.fold_result(kind.result) if kind.result else None,
        folds_completed=kind.folds_completed,
        fold_count=kind.fold_count,
    )
