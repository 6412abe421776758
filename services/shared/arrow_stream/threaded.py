"""Reading a data stream whole in one thread, with gRPC's synchronous client.

It takes a fifth less processor time than `read_arrow` (docs/BENCHMARKS.md), whose every
message goes from thread to thread, and what is done with the rows holds no event loop up.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from typing import Final

import grpc
import pyarrow as pa
from google.protobuf.message import Message

from services.shared.arrow_stream.codec import Decoder
from services.shared.arrow_stream.guard import STALL_SECONDS
from services.shared.arrow_stream.wire import payload
from services.shared.errors import Stalled
from services.shared.rpc import status
from services.shared.rpc.client import DATA_SECONDS, Channel, StreamForThread
from services.shared.threads import ended

Take = Callable[[pa.RecordBatch], None]
_LOOKS: Final = 10  # for a stall, in the time that makes one


async def each_batch(
    channel: Channel,
    method: str,
    request: Message,
    take: Take,
    *,
    seconds: float = DATA_SECONDS,
    schema: pa.Schema | None = None,
    stall_seconds: float = STALL_SECONDS,
) -> None:
    """Gives every batch, validated, to `take`, which may block: it runs in a thread.

    Raises what the server and `take` raise, Stalled when the server goes silent, and
    MalformedStream as `read_arrow`. Also when cancelled, it ends after the last `take`.
    """
    silent = Stalled(f"{method} sent nothing for {stall_seconds:g} s.")
    reading = _Reading(channel.stream_for_thread(method, request, seconds), take, schema, silent)
    watching = asyncio.create_task(reading.watch(stall_seconds))
    try:
        job = asyncio.ensure_future(asyncio.to_thread(reading.run))
        await ended(job, stop=reading.end)
    finally:
        watching.cancel()
        reading.end()


class _Reading:
    def __init__(
        self, call: StreamForThread, take: Take, schema: pa.Schema | None, silent: Stalled
    ) -> None:
        self._call = call
        self._take = take
        self._decoder = Decoder(schema)
        self._silent = silent
        self._is_silent = False
        self._waits_since: float | None = None

    def run(self) -> None:
        try:
            for raw in self._messages():
                for batch in self._decoder.feed(payload(raw)):
                    self._take(batch)
        except grpc.RpcError as error:
            raise self._silent if self._is_silent else status.from_call(error) from error
        self._decoder.finish()

    def _messages(self) -> Iterator[bytes]:
        while True:
            self._waits_since = time.monotonic()
            raw = next(self._call, None)
            self._waits_since = None
            if raw is None:
                return
            yield raw

    def end(self) -> None:
        self._call.cancel()

    async def watch(self, stall_seconds: float) -> None:
        while not self._is_silent:
            await asyncio.sleep(stall_seconds / _LOOKS)
            since = self._waits_since
            if since is not None and time.monotonic() - since >= stall_seconds:
                self._is_silent = True
                self.end()
