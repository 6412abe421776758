from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from services.shared.errors import Unavailable
from services.shared.series.questdb.wire import Address, Wire

ANSWER = b'HTTP/1.1 200 OK\r\nContent-Length: 17\r\n\r\n{"dataset":[[1]]}'


class Server:
    """Answers every query alike while it is open, and can hang up on everybody."""

    def __init__(self) -> None:
        self.port = 0
        self.open = asyncio.Event()
        self.open.set()
        self.asked = asyncio.Semaphore(0)
        self.hung_up = asyncio.Semaphore(0)
        self._clients: set[asyncio.StreamWriter] = set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._clients.add(writer)
        try:
            while await self._request(reader):
                self.asked.release()
                if not await self._is_still_there(reader):
                    break
                writer.write(ANSWER)
        finally:
            self._clients.discard(writer)
            self.hung_up.release()
            writer.close()

    async def _is_still_there(self, reader: asyncio.StreamReader) -> bool:
        opened = asyncio.ensure_future(self.open.wait())
        gone = asyncio.ensure_future(reader.read(1))
        done, waiting = await asyncio.wait([opened, gone], return_when=asyncio.FIRST_COMPLETED)
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
        return opened in done

    async def _request(self, reader: asyncio.StreamReader) -> bytes:
        try:
            return await reader.readuntil(b"\r\n\r\n")
        except (asyncio.IncompleteReadError, OSError):
            return b""

    def hang_up(self) -> None:
        for client in self._clients:
            client.close()


@asynccontextmanager
async def wired() -> AsyncIterator[tuple[Wire, Server]]:
    server = Server()
    listening = await asyncio.start_server(server.serve, "127.0.0.1", 0)
    server.port = listening.sockets[0].getsockname()[1]
    wire = Wire(Address(url=f"http://127.0.0.1:{server.port}"))
    try:
        yield wire, server
    finally:
        wire.close()
        listening.close()
        server.hang_up()


async def asked_side_by_side(wire: Wire, server: Server, times: int) -> None:
    """Each on a connection of its own, which stay open."""
    server.open.clear()
    asking = [asyncio.create_task(wire.rows(f"select {i}")) for i in range(times)]
    for _ in asking:
        await server.asked.acquire()
    server.open.set()
    await asyncio.gather(*asking)


async def test_a_server_that_hung_up_on_everybody_is_asked_anew_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("services.shared.series.questdb.wire._PAUSES", ())
    async with wired() as (wire, server):
        await asked_side_by_side(wire, server, 12)
        server.hang_up()
        assert await wire.rows("select 1") == [[1]]
        assert await wire.rows("select 1") == [[1]]


async def test_a_server_that_refuses_everybody_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.shared.series.questdb.wire._PAUSES", ())
    async with wired() as (wire, server):
        await asked_side_by_side(wire, server, 2)
        monkeypatch.setattr(server, "_request", refused)
        server.hang_up()
        with pytest.raises(Unavailable, match="does not answer"):
            await wire.rows("select 1")


async def refused(_: asyncio.StreamReader) -> bytes:
    return b""


async def test_a_question_that_nobody_waits_for_any_more_is_ended() -> None:
    async with wired() as (wire, server):
        server.open.clear()
        asking = asyncio.create_task(wire.rows("select 1"))
        await server.asked.acquire()
        asking.cancel()
        async with asyncio.timeout(10):
            await server.hung_up.acquire()
        server.open.set()
        assert await wire.rows("select 2") == [[1]]


async def test_who_is_cancelled_while_decoding_waits_for_its_end() -> None:
    """What it decodes is in memory until then."""
    begun, may_end = asyncio.Event(), threading.Event()
    loop = asyncio.get_running_loop()

    def work() -> bool:
        loop.call_soon_threadsafe(begun.set)
        return may_end.wait(10)

    async with wired() as (wire, _):
        decoding = asyncio.create_task(wire.decoded(work))
        await begun.wait()
        decoding.cancel()
        _, waiting = await asyncio.wait([decoding], timeout=0.05)
        may_end.set()
        assert waiting == {decoding}
        with pytest.raises(asyncio.CancelledError):
            await decoding
