"""What every call passes through. Handlers know none of it.

A guard is an async context manager around a handler, whatever its shape;
`Guarded` is the only interceptor, and the order of its guards is the order of
the calls: the first is outermost.
"""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from typing import Any

import grpc
from grpc import aio

from services.shared.rpc.guards import Context

Guard = Callable[[str, Context], AbstractAsyncContextManager[None]]


class Guarded(aio.ServerInterceptor):
    def __init__(self, *guards: Guard) -> None:
        self._guards = guards

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Any]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Any:
        handler = await continuation(handler_call_details)
        if handler is None:
            return None
        method = handler_call_details.method

        async def one(request: Any, context: Context) -> Any:
            async with self._entered(method, context):
                return await behaviour(request, context)

        async def many(request: Any, context: Context) -> AsyncIterator[Any]:
            async with self._entered(method, context):
                answers = behaviour(request, context)
                if inspect.isawaitable(answers):  # it writes to the context: data streams do
                    await answers
                    return
                async for message in answers:
                    yield message

        shape = f"{_arity(handler.request_streaming)}_{_arity(handler.response_streaming)}"
        behaviour = getattr(handler, shape)
        return getattr(grpc, f"{shape}_rpc_method_handler")(
            many if handler.response_streaming else one,
            request_deserializer=handler.request_deserializer,
            response_serializer=_bytes_as_they_are(handler.response_serializer),
        )

    @asynccontextmanager
    async def _entered(self, method: str, context: Context) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            for guard in self._guards:
                await stack.enter_async_context(guard(method, context))
            yield


def _arity(streaming: bool) -> str:
    return "stream" if streaming else "unary"


def _bytes_as_they_are(serialize: Callable[[Any], bytes]) -> Callable[[Any], bytes]:
    """A message may be serialized already: those of the Arrow streams are."""
    return lambda message: message if isinstance(message, bytes) else serialize(message)
