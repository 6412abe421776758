"""What keeps data streams from holding a service's memory: a budget and a stall limit.

A consumer that stops reading leaves some megabytes in flight for as long as it
lives, and keepalive does not notice (the peer's kernel answers pings). So the
number of streams is bounded by bytes, and one that stands still is cut off.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import contextmanager, suppress
from typing import Final, Protocol, TypeVar

import structlog
from grpc import aio

from services.shared.errors import Exhausted, Stalled
from services.shared.rpc import status
from services.shared.rpc.guards import Context

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
        self._cuts: set[asyncio.Task[None]] = set()

    async def send(self, context: Context, chunks: AsyncGenerator[bytes]) -> None:
        """Writes the chunks, in the task of the handler.

        Raises TooManyStreams. When the receiver stalls, the budget is given back,
        `chunks` closed and the handler's task cancelled.
        """
        with self._lease() as lease:
            pace = Pace(self._stall_seconds)
            standing = _Standing(lease, chunks, context)
            try:
                with self._alarm(pace, standing):
                    async for chunk in chunks:
                        standing.waits_since = started = pace.now()
                        try:
                            await context.write(chunk)
                        except aio.InternalError as error:  # who read it has gone
                            raise asyncio.CancelledError from error
                        finally:
                            standing.waits_since = None
                        if standing.is_cut:  # it moved in the very moment of the alarm
                            raise pace.stalled()
                        pace.moved(len(chunk), pace.now() - started)
            finally:
                await standing.close()

    async def receive(self, requests: AsyncIterator[Request]) -> AsyncGenerator[Request]:
        """What a client uploads. Raises TooManyStreams, and Stalled when it sends too little."""
        pace = Pace(self._stall_seconds)
        with self._lease():
            while True:
                started = pace.now()
                try:
                    async with asyncio.timeout(pace.left):
                        request = await anext(requests, None)
                except TimeoutError:
                    raise pace.stalled() from None
                if request is None:
                    return
                pace.moved(request.ByteSize(), pace.now() - started)
                yield request

    @contextmanager
    def _alarm(self, pace: Pace, standing: _Standing) -> Iterator[None]:
        """One timer for the whole stream, set again when it rings: messages are too many."""
        loop = asyncio.get_running_loop()
        timer: asyncio.TimerHandle

        def look() -> None:
            nonlocal timer
            if standing.is_cut:
                return
            since, now = standing.waits_since, pace.now()
            left = pace.left - (now - since if since is not None else 0.0)
            if since is not None and left <= 0:
                task = asyncio.create_task(standing.cut(pace.stalled()))
                self._cuts.add(task)
                task.add_done_callback(self._cuts.discard)
            timer = loop.call_later(max(left, pace.limit / 100), look)

        timer = loop.call_later(pace.left, look)
        try:
            yield
        finally:
            timer.cancel()

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


class Pace:
    """Seconds spent waiting for the other side since it last moved STALL_BYTES."""

    def __init__(self, limit: float) -> None:
        self.limit = limit
        self._waited = 0.0
        self._bytes = 0

    @staticmethod
    def now() -> float:
        return asyncio.get_running_loop().time()

    @property
    def left(self) -> float:
        return max(self.limit - self._waited, 0.0)

    def stalled(self) -> Stalled:
        return Stalled(f"The stream did not move {STALL_BYTES} bytes within {self.limit:g} s.")

    def moved(self, size: int, seconds: float) -> None:
        self._waited += seconds
        self._bytes += size
        if self._bytes >= STALL_BYTES:
            self._waited, self._bytes = 0.0, 0


class _Standing:
    """A stream that may stand still, and what happens then."""

    def __init__(self, lease: _Lease, chunks: AsyncGenerator[bytes], context: Context) -> None:
        handler = asyncio.current_task()
        assert handler is not None
        self._handler = handler
        self._lease = lease
        self._chunks = chunks
        self._context = context
        self._closing: asyncio.Future[None] | None = None
        self.waits_since: float | None = None
        self.is_cut = False

    async def close(self) -> None:
        if self._closing is None:
            self._closing = asyncio.ensure_future(self._chunks.aclose())
        await asyncio.shield(self._closing)

    async def cut(self, error: Stalled) -> None:
        if self.waits_since is None or self.is_cut:
            return
        log.warning("data_stream_stalled")
        self.is_cut = True
        self._lease.release()
        await self.close()
        if self.waits_since is None or self._handler.done():  # it moved on, or the client has gone
            return
        # The status waits behind what the receiver does not take, maybe till its
        # deadline; it waits here, where nothing is held any more.
        self._handler.get_loop().call_soon(self._handler.cancel)
        trailer = ((status.TRAILER, status.to_status(error).SerializeToString()),)
        with suppress(aio.BaseError):  # what abort always raises, or the client went
            await self._context.abort(status.code_of(error), str(error), trailing_metadata=trailer)
