"""The guards of every server, each a few lines; `server` puts them in order."""

from __future__ import annotations

import asyncio
import hmac
import re
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any, Final
from uuid import uuid4

import structlog
from grpc import aio

from services.shared.errors import (
    InvalidRequest,
    Stage1Error,
    Unauthenticated,
    Unavailable,
    Violation,
)
from services.shared.rpc import status

Context = aio.ServicerContext[Any, Any]

REQUEST_ID: Final = "x-request-id"
TOKEN: Final = "x-stage1-service-token"
_OURS: Final = "/stage1."  # health and reflection are other people's protocols

log = structlog.get_logger()


def writes(handler: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., Any]:
    """Of a stream whose handler writes to the context itself: the stubs know iterators only."""
    return handler


def new_request_id() -> str:
    return uuid4().hex


@asynccontextmanager
async def request_id(method: str, context: Context) -> AsyncIterator[None]:
    """The caller's id, or a new one, on every log line of the call and on calls made from it."""
    given = metadata(context, REQUEST_ID) or ""
    chosen = given if re.fullmatch(r"[\w.-]{1,128}", given) else new_request_id()
    with structlog.contextvars.bound_contextvars(request_id=chosen, method=method):
        yield


@asynccontextmanager
async def errors_as_status(method: str, context: Context) -> AsyncIterator[None]:
    """Refusals travel whole; anything else is a bug: logged here, opaque outside."""
    try:
        yield
    except Stage1Error as error:
        log.info("rpc_refused", reason=error.reason, error=str(error))
        await _abort(context, error)
    except (aio.AbortError, asyncio.CancelledError):
        raise
    except Exception:
        log.exception("rpc_crashed")
        await _abort(context, Stage1Error("The service failed; its log has the request id."))


async def _abort(context: Context, error: Stage1Error) -> None:
    rich = status.to_status(error)
    code = status.code_of(error)
    trailer = ((status.TRAILER, rich.SerializeToString()),)
    await context.abort(code, rich.message, trailing_metadata=trailer)


@asynccontextmanager
async def deadline_required(method: str, context: Context) -> AsyncIterator[None]:
    """A caller that would wait for ever holds our memory for ever."""
    if method.startswith(_OURS) and context.time_remaining() is None:
        raise InvalidRequest([Violation("deadline", "is missing: every call to Stage1 has one")])
    yield


class TokenRequired:
    """Where there is a service token, every call of ours carries it."""

    def __init__(self, token: str | None) -> None:
        self._token = token.encode() if token else None

    @asynccontextmanager
    async def __call__(self, method: str, context: Context) -> AsyncIterator[None]:
        given = (metadata(context, TOKEN) or "").encode()
        ours = method.startswith(_OURS)
        if ours and self._token and not hmac.compare_digest(given, self._token):
            raise Unauthenticated("The service token is missing or wrong.")
        yield


class Readiness:
    """Calls wait for nothing: before the service is ready they are refused and may come again."""

    def __init__(self) -> None:
        self.ready = False

    @asynccontextmanager
    async def __call__(self, method: str, context: Context) -> AsyncIterator[None]:
        if method.startswith(_OURS) and not self.ready:
            raise Unavailable("The service is starting or stopping; try again shortly.")
        yield


class CallsUnderWay:
    """Handler tasks; grpc's own stop does not wait for their `finally` after an abort."""

    def __init__(self) -> None:
        self._tasks: dict[asyncio.Task[Any], str] = {}
        self._draining = False

    @asynccontextmanager
    async def __call__(self, method: str, context: Context) -> AsyncIterator[None]:
        task = asyncio.current_task()
        assert task is not None
        self._tasks[task] = method
        try:
            yield
        except asyncio.CancelledError:
            if not self._draining:
                raise
            # A cancelled handler sends no status, and grpc would wait for one.
            task.uncancel()
            raise Unavailable("The service is stopping; try again shortly.") from None
        finally:
            self._tasks.pop(task, None)

    def end_watches(self) -> None:
        """Watch streams outlast any drain: their clients come back where they were."""
        self._draining = True
        for task, method in list(self._tasks.items()):
            if method.rpartition("/")[2].startswith("Watch"):
                task.cancel()

    async def ended(self, seconds: float) -> None:
        if self._tasks:
            await asyncio.wait(set(self._tasks), timeout=seconds)
        left = set(self._tasks)
        for task in left:
            task.cancel()
        if left:  # what they hold must be given back before what it came from closes
            await asyncio.wait(left, timeout=seconds)


def metadata(context: Context, key: str) -> str | None:
    for name, value in context.invocation_metadata() or ():
        if name == key:
            return value if isinstance(value, str) else value.decode("ascii", "replace")
    return None
