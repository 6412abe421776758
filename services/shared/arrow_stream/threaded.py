"""Reading a data stream whole in one thread, with gRPC's synchronous client.

It takes a fifth less processor time than `read_arrow` (docs/BENCHMARKS.md), whose every
message goes from thread to thread, and what is done with the rows holds no event loop up.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
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
    job = asyncio.ensure_future(asyncio.to_thread(reading.run))
    try:
        with _watched(reading, stall_seconds):
            await asyncio.shield(job)
    finally:
        reading.end()
        while not job.done():  # however often this is cancelled
            with suppress(asyncio.CancelledError):
                await asyncio.wait([job])
        if not job.cancelled():
            job.exception()  # seen: nobody waits for it any more


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

    def look(self, stall_seconds: float) -> None:
        since = self._waits_since
        if since is not None and time.monotonic() - since >= stall_seconds:
            self._is_silent = True
            self.end()


@contextmanager
def _watched(reading: _Reading, stall_seconds: float) -> Iterator[None]:
    loop = asyncio.get_running_loop()
    timer: asyncio.TimerHandle

    def look() -> None:
        nonlocal timer
        reading.look(stall_seconds)
        timer = loop.call_later(stall_seconds / _LOOKS, look)

    timer = loop.call_later(stall_seconds / _LOOKS, look)
    try:
        yield
    finally:
        timer.cancel()
