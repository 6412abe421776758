"""Events of a run or simulation as server-sent events.

Stored events carry their number as id, so a browser that comes back with
Last-Event-ID misses none; heartbeats are comments, progress has no id.
"""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Callable
from typing import Any, Final, Protocol

import orjson
from fastapi import Request
from fastapi.sse import format_sse_event
from stage1.runs.v1 import run_pb2
from starlette.responses import Response, StreamingResponse

from gateway.http.numbers import natural, quoted
from gateway.http.peers import asking
from gateway.http.shapes.runs import fold_result
from gateway.http.shapes.words import iso
from gateway.http.stream import begun
from services.shared.errors import DeadlineExceeded, InvalidRequest, Violation

_RETRY_MS: Final = 2000
_LAST_EVENT_ID: Final = "last-event-id"
TERMINAL: Final = frozenset({"COMPLETED", "FAILED", "CANCELLED"})


class Watched(Protocol):
    """An answer of WatchRun or WatchSimulation."""

    @property
    def event(self) -> run_pb2.Event: ...


Watch = Callable[[int], AsyncIterable[Watched]]


def after_sequence(request: Request) -> int:
    """The last event that the caller has seen."""
    text = request.headers.get(_LAST_EVENT_ID, "") or "0"
    sequence = natural(text, below=2**63)
    if sequence is None:
        message = f"is {quoted(text)}, and must be a number"
        raise InvalidRequest([Violation("Last-Event-ID", message)])
    return sequence


async def answer(watch: Watch, after: int, *, status: str) -> Response:
    """204 tells a browser not to come back: it has ended, and the caller has seen all of it."""
    events = _followed(watch, after)
    if status in TERMINAL:
        try:
            events = await begun(events)
        except StopAsyncIteration:
            return Response(status_code=204)
    return StreamingResponse(_messages(events), media_type="text/event-stream")


async def _followed(watch: Watch, after: int) -> Any:
    """Beyond the deadline of one watch call, until the end."""
    while True:
        try:
            with asking("runs"):
                async for answer in watch(after):
                    after = max(after, answer.event.sequence)
                    yield answer.event
            return
        except DeadlineExceeded:
            continue


async def _messages(events: AsyncIterator[run_pb2.Event]) -> AsyncIterator[bytes]:
    yield format_sse_event(retry=_RETRY_MS)
    async for event in events:
        yield _message(event)


def _message(event: run_pb2.Event) -> bytes:
    kind = event.WhichOneof("kind")
    if kind is None or kind == "heartbeat":
        return format_sse_event(comment="heartbeat")
    data = {"sequence": event.sequence or None, "at": iso(event.at_ms), **_SHAPES[kind](event)}
    return format_sse_event(
        event=kind,
        data_str=orjson.dumps(data).decode(),
        id=str(event.sequence) if event.sequence else None,
    )


def _state_changed(event: run_pb2.Event) -> dict[str, Any]:
    changed = event.state_changed
    return {"status": changed.state, "error": changed.error or None}


def _fold_started(event: run_pb2.Event) -> dict[str, Any]:
    return {"fold_number": event.fold_started.fold, "attempt": event.fold_started.attempt}


def _fold_completed(event: run_pb2.Event) -> dict[str, Any]:
    completed = event.fold_completed
    return {
        "fold_number": completed.fold,
        "folds_completed": completed.folds_completed,
        "fold_count": completed.fold_count,
        **fold_result(completed.result),
    }


def _progress(event: run_pb2.Event) -> dict[str, Any]:
    progress = event.progress
    return {
        "fold_number": progress.fold,
        "round": progress.round,
        "rounds": progress.rounds,
        "train_score": progress.train_score,
        "validation_score": progress.validation_score,
    }


def _log(event: run_pb2.Event) -> dict[str, Any]:
    return {"text": event.log.text}


_SHAPES: Final[dict[str, Callable[[run_pb2.Event], dict[str, Any]]]] = {
    "state_changed": _state_changed,
    "fold_started": _fold_started,
    "fold_completed": _fold_completed,
    "progress": _progress,
    "log": _log,
}
