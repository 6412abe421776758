"""A verification under way: its progress as events, or only what came of it."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing
from typing import Any

import orjson
from fastapi.sse import format_sse_event
from stage1.dataset.v1 import dataset_service_pb2 as pb

from gateway.http import errors, writing
from gateway.http.peers import Peers, asking
from gateway.http.schemas.checks import VerifyReport
from gateway.http.shapes import checks as shapes
from gateway.http.stream import begun
from services.shared.errors import Stage1Error, Unavailable

Steps = AsyncGenerator[pb.VerifyDatasetResponse]


async def steps(
    peers: Peers, sent: AsyncIterator[pb.VerifyDatasetRequest], files: Sequence[str]
) -> Steps:
    """`files`: the fields that they came in."""
    with asking("dataset", files):
        async with aclosing(writing.converse(peers.datasets.VerifyDataset(), sent)) as answers:
            async for answer in answers:
                yield answer


async def report(steps: Steps) -> VerifyReport:
    async with aclosing(steps):
        async for step in steps:
            if step.HasField("report"):
                return shapes.report(step.report)
    raise Unavailable("The verification ended without a report.")


async def events(steps: Steps) -> AsyncIterator[bytes]:
    """Raises what is refused before the first step; later it is an event itself."""
    return _messages(await begun(steps))


async def _messages(steps: AsyncIterator[pb.VerifyDatasetResponse]) -> AsyncIterator[bytes]:
    try:
        async for step in steps:
            yield _message(step)
    except Stage1Error as error:
        yield _event("refused", errors.answer(error).body)


def _message(step: pb.VerifyDatasetResponse) -> bytes:
    if step.HasField("report"):
        return _event("report", shapes.report(step.report).model_dump_json().encode())
    progress: dict[str, Any] = {
        "rows": step.progress.rows,
        "total_rows": step.progress.total_rows,
    }
    return _event("progress", orjson.dumps(progress))


def _event(kind: str, data: bytes | memoryview) -> bytes:
    return format_sse_event(event=kind, data_str=bytes(data).decode())
