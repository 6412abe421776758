"""Uploading over gRPC, with the service's own word when it ends the call early.

In grpc.aio (1.85) a write that meets an ended call sets the call's status to INTERNAL:
before the real one arrives, which then comes in its place, or after, and then it is
lost. So the status is noted when the call ends, and waited for when that was too early.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Coroutine
from contextlib import suppress
from typing import Any, Final, Protocol, TypeVar

from grpc import StatusCode
from grpc.aio import AioRpcError, StreamStreamCall, StreamUnaryCall
from grpc_status import rpc_status

_PATIENCE_STEPS: Final = 100
_STEP_SECONDS: Final = 0.01

Request = TypeVar("Request")
Answer = TypeVar("Answer")
Value = TypeVar("Value")


class Ended(Protocol):
    def code(self) -> Coroutine[Any, Any, StatusCode]: ...
    def details(self) -> Coroutine[Any, Any, str]: ...
    def initial_metadata(self) -> Coroutine[Any, Any, Any]: ...
    def trailing_metadata(self) -> Coroutine[Any, Any, Any]: ...


async def write_all(
    call: StreamUnaryCall[Request, Answer], messages: AsyncIterator[Request]
) -> Answer:
    """The answer to all messages, or to those the service wanted. Raises AioRpcError.

    What `messages` raises is raised here, and the call is cancelled.
    """
    noted: list[AioRpcError] = []
    call.add_done_callback(lambda ended: noted.append(_status_now(ended)))
    try:
        async for message in messages:
            await call.write(message)
        await call.done_writing()
    except (asyncio.InvalidStateError, AioRpcError):
        pass  # the service has ended the call before the end of the upload
    except BaseException:
        call.cancel()
        raise
    try:
        return await call
    except AioRpcError as error:
        raise await _real(call, [*noted, error]) from None


async def converse(
    call: StreamStreamCall[Request, Answer], messages: AsyncIterator[Request]
) -> AsyncGenerator[Answer]:
    """The answers, which may come while there is still something to say. Raises AioRpcError.

    What `messages` raises is raised here, and the call is cancelled.
    """
    noted: list[AioRpcError] = []
    call.add_done_callback(lambda ended: noted.append(_status_now(ended)))
    saying = asyncio.create_task(_say(call, messages))
    try:
        async for answer in call:
            yield answer
        await saying
    except AioRpcError as error:
        raise await _real(call, [*noted, error]) from None
    finally:
        call.cancel()
        saying.cancel()
        with suppress(asyncio.CancelledError):
            await saying


async def _say(call: StreamStreamCall[Request, Answer], messages: AsyncIterator[Request]) -> None:
    try:
        async for message in messages:
            await call.write(message)
        await call.done_writing()
    except (asyncio.InvalidStateError, AioRpcError):
        pass  # as above; the answers say why
    except BaseException:
        call.cancel()
        raise


async def _real(call: Ended, told: list[AioRpcError]) -> AioRpcError:
    for _ in range(_PATIENCE_STEPS):
        if real := next(filter(_is_told_by_the_service, told), None):
            return real
        await asyncio.sleep(_STEP_SECONDS)
        told = [_status_now(call)]
    return told[-1]


def _is_told_by_the_service(error: AioRpcError) -> bool:
    return error.code() is not StatusCode.INTERNAL or rpc_status.from_call(error) is not None


def _status_now(ended: Ended) -> AioRpcError:
    return AioRpcError(
        _at_once(ended.code()),
        _at_once(ended.initial_metadata()),
        _at_once(ended.trailing_metadata()),
        _at_once(ended.details()),
    )


def _at_once(known: Coroutine[Any, Any, Value]) -> Value:
    """What is there already; of a call that has ended nothing is waited for."""
    try:
        known.send(None)
    except StopIteration as done:
        value: Value = done.value
        return value
    raise RuntimeError("The call has not ended.")
