"""What keeps data streams from holding a service's memory: a budget and a stall limit.

A consumer that stops reading leaves some megabytes in flight for as long as it
lives, and keepalive does not notice (the peer's kernel answers pings). So the
number of streams is bounded by bytes, and one that stands still is cut off.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import contextmanager
from typing import Final, Protocol, TypeVar

import structlog

from services.shared.errors import Exhausted, Stalled

STREAM_BYTES: Final = 8 << 20  # what a stream whose consumer has stopped was seen to hold
BUDGET_BYTES: Final = 256 << 20
STALL_BYTES: Final = 64 << 10
STALL_SECONDS: Final = 60.0

log = structlog.get_logger()


class TooManyStreams(Exhausted):
    reason = "TOO_MANY_STREAMS"


class Sized(Protocol):
    def ByteSize(self) -> int: ...


Request = TypeVar("Request", bound=Sized)


class DataStreams:
    """The data streams of one service."""

    def __init__(
        self, *, budget_bytes: int = BUDGET_BYTES, stall_seconds: float = STALL_SECONDS
    ) -> None:
        self._free = budget_bytes
        self._stall_seconds = stall_seconds

    async def send(self, chunks: AsyncGenerator[bytes]) -> AsyncIterator[bytes]:
        """The chunks, to be yielded by a handler in the task of its call.

        Raises TooManyStreams. When the receiver stalls, `chunks` is closed, the
        budget given back and the handler's task cancelled, in this order:
        context.abort() would wait for the receiver too.
        """
        with self._lease() as lease:
            watch = _Watch(self._stall_seconds, lease, chunks)
            try:
                async for chunk in chunks:
                    watch.start()
                    yield chunk
                    watch.stop(len(chunk))
            finally:
                watch.cancel()
                await chunks.aclose()

    async def receive(self, requests: AsyncIterator[Request]) -> AsyncIterator[Request]:
        """What a client uploads. Raises TooManyStreams, and Stalled when it sends too little."""
        pace = _Pace(self._stall_seconds)
        with self._lease():
            while True:
                started = pace.now()
                try:
                    async with asyncio.timeout(pace.left):
                        request = await anext(requests, None)
                except TimeoutError:
                    raise Stalled(
                        f"The upload did not move {STALL_BYTES} bytes within "
                        f"{self._stall_seconds:g} s."
                    ) from None
                if request is None:
                    return
                pace.moved(request.ByteSize(), pace.now() - started)
                yield request

    @contextmanager
    def _lease(self) -> Iterator[_Lease]:
        if self._free < STREAM_BYTES:
            raise TooManyStreams("Too many data streams are open; try again shortly.")
        lease = _Lease(self)
        try:
            yield lease
        finally:
            lease.release()

    def _give(self, size: int) -> None:
        self._free += size


class _Lease:
    def __init__(self, streams: DataStreams) -> None:
        self._streams = streams
        self._held = True
        streams._give(-STREAM_BYTES)

    def release(self) -> None:
        if self._held:
            self._held = False
            self._streams._give(STREAM_BYTES)


class _Pace:
    """Seconds spent waiting for the other side since it last moved STALL_BYTES."""

    def __init__(self, limit: float) -> None:
        self._limit = limit
        self._waited = 0.0
        self._bytes = 0

    @staticmethod
    def now() -> float:
        return asyncio.get_running_loop().time()

    @property
    def left(self) -> float:
        return max(self._limit - self._waited, 0.0)

    def moved(self, size: int, seconds: float) -> None:
        self._waited += seconds
        self._bytes += size
        if self._bytes >= STALL_BYTES:
            self._waited, self._bytes = 0.0, 0


class _Watch:
    """The alarm that runs while a chunk is being taken by the receiver."""

    def __init__(self, limit: float, lease: _Lease, chunks: AsyncGenerator[bytes]) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._handler = task
        self._pace = _Pace(limit)
        self._lease = lease
        self._chunks = chunks
        self._started = 0.0
        self._alarm: asyncio.TimerHandle | None = None
        self._cutting: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._started = self._pace.now()
        self._alarm = self._handler.get_loop().call_later(self._pace.left, self._ring)

    def stop(self, size: int) -> None:
        self.cancel()
        self._pace.moved(size, self._pace.now() - self._started)

    def cancel(self) -> None:
        if self._alarm is not None:
            self._alarm.cancel()

    def _ring(self) -> None:
        self._cutting = asyncio.create_task(self._cut_off())

    async def _cut_off(self) -> None:
        log.warning("data_stream_stalled")
        self._lease.release()
        try:
            await self._chunks.aclose()
        finally:
            self._handler.cancel()
