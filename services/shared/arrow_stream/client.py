"""Reading a data stream of another service."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import Any

import pyarrow as pa
from google.protobuf.message import Message
from grpc import aio

from services.shared.arrow_stream.codec import decode
from services.shared.arrow_stream.guard import STALL_SECONDS
from services.shared.arrow_stream.wire import payload
from services.shared.errors import Stalled
from services.shared.rpc import status
from services.shared.rpc.client import DATA_SECONDS, serialized


async def read_arrow(
    channel: aio.Channel,
    method: str,
    request: Message,
    *,
    seconds: float = DATA_SECONDS,
    schema: pa.Schema | None = None,
) -> AsyncGenerator[pa.RecordBatch]:
    """The batches of a call like `/stage1.dataset.v1.DatasetService/ReadBars`, validated.

    Raises what the server raised, Stalled when it goes silent, MalformedStream
    when the stream is broken or its columns are not those of `schema`.
    """
    async with aclosing(_raw(channel, method, request, seconds)) as raws:
        async for batch in decode(raws, schema):
            yield batch


async def read_ipc(
    channel: aio.Channel, method: str, request: Message, *, seconds: float = DATA_SECONDS
) -> AsyncGenerator[memoryview]:
    """The same call as the bytes of an Arrow IPC stream, unread: to be handed on."""
    async with aclosing(_raw(channel, method, request, seconds)) as raws:
        async for raw in raws:
            yield payload(raw)


async def _raw(
    channel: aio.Channel, method: str, request: Message, seconds: float
) -> AsyncGenerator[bytes]:
    open_call: Any = channel.unary_stream(method, request_serializer=serialized)
    call = open_call(request, timeout=seconds)
    messages: AsyncIterator[bytes] = aiter(call)
    try:
        while True:
            async with asyncio.timeout(STALL_SECONDS):
                raw = await anext(messages, None)
            if raw is None:
                return
            yield raw
    except aio.AioRpcError as error:
        raise status.from_call(error) from error
    except TimeoutError:
        raise Stalled(f"{method} sent nothing for {STALL_SECONDS:g} s.") from None
    finally:
        call.cancel()
