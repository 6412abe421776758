"""A TCP link that fails as it is told: refused, blackholed, reset, half closed, slow, or cut
just when a request of one's choice, or the answer to it, is on its way."""

from __future__ import annotations

import asyncio
import re
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Final

Upstream = tuple[str, int]
Action = Callable[[], Awaitable[None]]
_READ_BYTES: Final = 64 << 10
_KEPT_BYTES: Final = 100  # a needle may come in two pieces
_RESET: Final = struct.pack("ii", 1, 0)


class Way(Enum):
    UP = auto()  # from the client to the server
    DOWN = auto()


class Cut(Enum):
    """Where a connection ends that sends what a `Trap` waits for."""

    REQUEST_LOST = auto()  # the server never sees it
    ANSWER_LOST = auto()  # the server has done it and answers, and nobody hears that
    ANSWER_TORN = auto()  # the first bytes of the answer arrive


@dataclass(kw_only=True)
class Trap:
    """Springs when `needle` goes up for the nth time, on any connection.

    With `once_seen`, only those count before which that went up on the same connection, since
    the last that counted.
    """

    needle: re.Pattern[bytes]
    cut: Cut
    once_seen: re.Pattern[bytes] | None = None
    nth: int = 1
    action: Action | None = None
    """Done before the connection is reset."""
    seen: int = field(default=0, init=False)
    sprung: asyncio.Event = field(default_factory=asyncio.Event, init=False)
    """Set once the action is done and the connection gone."""
    is_taken: bool = field(default=False, init=False)
    _marked: set[Link] = field(default_factory=set, init=False)

    def springs(self, link: Link, before: bytes, data: bytes) -> bool:
        """`before` are the last bytes before the data."""
        if self.is_taken:
            return False
        self.seen += self._count(link, before, data)
        self.is_taken = self.seen >= self.nth
        return self.is_taken

    def _count(self, link: Link, before: bytes, data: bytes) -> int:
        found = _new(self.needle, before, data)
        if self.once_seen is None:
            return found
        is_marked = link in self._marked
        if _new(self.once_seen, before, data):
            self._marked.add(link)
        if found:
            self._marked.discard(link)
        return found if is_marked else 0


class Link:
    """One client's connection and its continuation to the server."""

    def __init__(self, client: asyncio.StreamWriter) -> None:
        self.client = client
        self.server: asyncio.StreamWriter | None = None
        self.trapped: Trap | None = None
        self.has_lost_bytes = False
        self.is_half_closed = False

    def reset(self) -> None:
        for writer in (self.client, self.server):
            if writer is not None:
                _reset(writer)

    def half_close(self) -> None:
        """The client hears that the server sends no more, though it would."""
        if not self.is_half_closed and self.client.can_write_eof():
            self.is_half_closed = True
            self.client.write_eof()


class FaultProxy:
    """Forwards until told otherwise; the upstream may move."""

    def __init__(self, upstream: Upstream) -> None:
        self.upstream = upstream
        self.port = 0
        self.links: set[Link] = set()
        self.waiting = 0
        self.carried = {Way.UP: 0, Way.DOWN: 0}
        self._open = {way: asyncio.Event() for way in Way}
        self._loses = False
        self._refuses = False
        self._delay = 0.0
        self._trap: Trap | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self.heal()

    def heal(self) -> None:
        """What was held goes on; connections that lost bytes are found dead by both ends."""
        self._refuses, self._loses, self._delay = False, False, 0.0
        for link in [link for link in self.links if link.has_lost_bytes]:
            link.reset()
        for event in self._open.values():
            event.set()

    def refuse(self) -> None:
        """As when the server is gone: resets what there is and whatever comes."""
        self._refuses = True
        self.cut()

    def blackhole(self, *ways: Way, losing: bool = False) -> None:
        """Both ways unless told. Bytes wait for the healing, or are lost for good."""
        self._loses = losing
        for way in ways or tuple(Way):
            self._open[way].clear()

    def delay(self, seconds: float) -> None:
        """Each piece, both ways."""
        self._delay = seconds

    def cut(self) -> None:
        for link in list(self.links):
            link.reset()

    def half_close(self) -> None:
        for link in list(self.links):
            link.half_close()

    def trap(
        self,
        needle: re.Pattern[bytes],
        cut: Cut,
        *,
        once_seen: re.Pattern[bytes] | None = None,
        nth: int = 1,
        action: Action | None = None,
    ) -> Trap:
        """Replaces the one before."""
        self._trap = Trap(needle=needle, cut=cut, once_seen=once_seen, nth=nth, action=action)
        return self._trap

    def disarm(self) -> None:
        self._trap = None

    def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._serve(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        link = Link(writer)
        self.links.add(link)
        try:
            if self._refuses:
                return
            await self._open[Way.UP].wait()
            server_reader, link.server = await asyncio.open_connection(*self.upstream)
            async with asyncio.TaskGroup() as pumps:
                pumps.create_task(self._pump(link, Way.UP, reader, link.server))
                pumps.create_task(self._pump(link, Way.DOWN, server_reader, writer))
        except* OSError:
            pass
        finally:
            link.reset()
            self.links.discard(link)

    async def _pump(
        self, link: Link, way: Way, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        before = b""
        while data := await reader.read(_READ_BYTES):
            if self._delay:
                await asyncio.sleep(self._delay)
            await self._admit(link, way, before, data)
            if self._swallows(link, way):
                continue
            self.waiting += 1
            await self._open[way].wait()
            self.waiting -= 1
            writer.write(data)
            await writer.drain()
            self.carried[way] += len(data)
            before = (before + data)[-_KEPT_BYTES:]
        if writer.can_write_eof():
            writer.write_eof()

    def _swallows(self, link: Link, way: Way) -> bool:
        if self._loses and not self._open[way].is_set():
            link.has_lost_bytes = True
        return link.has_lost_bytes or (way is Way.DOWN and link.is_half_closed)

    @property
    def is_felt(self) -> bool:
        """Something was sent into the blackhole."""
        return self.waiting > 0 or any(link.has_lost_bytes for link in self.links)

    async def _admit(self, link: Link, way: Way, before: bytes, data: bytes) -> None:
        """Raises ConnectionResetError where a trap cuts."""
        if way is Way.DOWN:
            if link.trapped is not None:
                if link.trapped.cut is Cut.ANSWER_TORN:
                    link.client.write(data[: len(data) // 2])
                    await link.client.drain()
                await self._spring(link, link.trapped)
            return
        trap = self._trap
        if trap is not None and trap.springs(link, before, data):
            if trap.cut is Cut.REQUEST_LOST:
                await self._spring(link, trap)
            link.trapped = trap

    async def _spring(self, link: Link, trap: Trap) -> None:
        try:
            if trap.action is not None:
                await trap.action()
        finally:
            link.reset()
            trap.sprung.set()
        raise ConnectionResetError


@asynccontextmanager
async def fault_proxy(upstream: Upstream) -> AsyncIterator[FaultProxy]:
    proxy = FaultProxy(upstream)
    server = await asyncio.start_server(proxy.accept, "127.0.0.1", 0)
    proxy.port = server.sockets[0].getsockname()[1]
    try:
        yield proxy
    finally:
        server.close()
        await proxy.close()


def _new(pattern: re.Pattern[bytes], before: bytes, data: bytes) -> int:
    """How many matches end in the data."""
    return sum(match.end() > len(before) for match in pattern.finditer(before + data))


def _reset(writer: asyncio.StreamWriter) -> None:
    """RST, not an orderly end."""
    connection = writer.get_extra_info("socket")
    if not writer.transport.is_closing():
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    writer.transport.abort()
