"""The proxy itself: each fault does what it is named for, and nothing else."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from tests.faults.proxy import Cut, FaultProxy, Way, fault_proxy


class Echo:
    """Answers every line with itself in capitals, and remembers it."""

    def __init__(self) -> None:
        self.heard: list[bytes] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while line := await reader.readline():
                self.heard.append(line)
                writer.write(line.upper())
                await writer.drain()
        except ConnectionError:
            pass
        finally:
            writer.close()


class Caller:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def ask(self, line: bytes) -> bytes:
        self.writer.write(line + b"\n")
        async with asyncio.timeout(60):
            return await self.reader.readline()


@asynccontextmanager
async def echoing() -> AsyncIterator[tuple[FaultProxy, Echo]]:
    echo = Echo()
    server = await asyncio.start_server(echo.serve, "127.0.0.1", 0)
    async with server, fault_proxy(server.sockets[0].getsockname()) as proxy:
        yield proxy, echo


@asynccontextmanager
async def calling(proxy: FaultProxy) -> AsyncIterator[Caller]:
    reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
    try:
        yield Caller(reader, writer)
    finally:
        writer.transport.abort()


async def test_it_forwards_both_ways() -> None:
    async with echoing() as (proxy, _), calling(proxy) as caller:
        assert await caller.ask(b"one") == b"ONE\n"
        assert proxy.carried == {Way.UP: 4, Way.DOWN: 4}


async def test_a_cut_is_a_reset() -> None:
    async with echoing() as (proxy, _), calling(proxy) as caller:
        await caller.ask(b"one")
        proxy.cut()
        with pytest.raises(ConnectionResetError):
            await caller.ask(b"two")


async def test_what_is_refused_is_reset_until_it_is_healed() -> None:
    async with echoing() as (proxy, echo):
        proxy.refuse()
        async with calling(proxy) as caller:
            with pytest.raises(ConnectionResetError):
                await caller.ask(b"one")
        proxy.heal()
        async with calling(proxy) as caller:
            assert await caller.ask(b"two") == b"TWO\n"
    assert echo.heard == [b"two\n"]


async def test_a_blackhole_keeps_what_is_sent_until_it_is_healed() -> None:
    async with echoing() as (proxy, echo), calling(proxy) as caller:
        await caller.ask(b"one")
        proxy.blackhole()
        answer = asyncio.create_task(caller.ask(b"two"))
        assert await asyncio.wait({answer}, timeout=0.1) == (set(), {answer})
        assert echo.heard == [b"one\n"]
        proxy.heal()
        assert await answer == b"TWO\n"


async def test_a_blackhole_down_hides_what_was_done() -> None:
    async with echoing() as (proxy, echo), calling(proxy) as caller:
        await caller.ask(b"one")
        proxy.blackhole(Way.DOWN)
        answer = asyncio.create_task(caller.ask(b"two"))
        async with asyncio.timeout(60):
            while len(echo.heard) < 2:  # noqa: ASYNC110 - it is heard in another task
                await asyncio.sleep(0.01)
        assert not answer.done()
        proxy.heal()
        assert await answer == b"TWO\n"


async def test_after_a_losing_blackhole_the_connection_is_dead_and_the_next_one_works() -> None:
    async with echoing() as (proxy, echo):
        async with calling(proxy) as caller:
            await caller.ask(b"one")
            proxy.blackhole(losing=True)
            answer = asyncio.create_task(caller.ask(b"two"))
            async with asyncio.timeout(60):
                while not proxy.is_felt:  # noqa: ASYNC110 - it is felt in another task
                    await asyncio.sleep(0.01)
            proxy.heal()
            with pytest.raises(ConnectionResetError):
                await answer
        async with calling(proxy) as caller:
            assert await caller.ask(b"three") == b"THREE\n"
    assert echo.heard == [b"one\n", b"three\n"]


async def test_a_half_closed_connection_still_carries_upwards() -> None:
    async with echoing() as (proxy, echo), calling(proxy) as caller:
        await caller.ask(b"one")
        proxy.half_close()
        assert await caller.ask(b"two") == b""
        async with asyncio.timeout(60):
            while len(echo.heard) < 2:  # noqa: ASYNC110 - it is heard in another task
                await asyncio.sleep(0.01)


@pytest.mark.parametrize(
    ("cut", "heard"), [(Cut.REQUEST_LOST, 2), (Cut.ANSWER_LOST, 3), (Cut.ANSWER_TORN, 3)]
)
async def test_a_trap_springs_at_the_nth_needle(cut: Cut, heard: int) -> None:
    async with echoing() as (proxy, echo), calling(proxy) as caller:
        done = asyncio.Event()

        async def action() -> None:
            done.set()

        trap = proxy.trap(re.compile(b"COMMIT"), cut, nth=2, action=action)
        assert await caller.ask(b"a COMMIT") == b"A COMMIT\n"
        assert await caller.ask(b"something") == b"SOMETHING\n"
        try:
            answer = await caller.ask(b"COMMIT again")
        except ConnectionResetError:
            answer = b""
        assert trap.sprung.is_set()
        assert done.is_set()
        assert answer in ((b"", b"COMMIT") if cut is Cut.ANSWER_TORN else (b"",))
        assert len(echo.heard) == heard


async def test_a_trap_counts_only_where_something_else_went_before() -> None:
    async with echoing() as (proxy, echo), calling(proxy) as caller:
        proxy.trap(
            re.compile(b"COMMIT"), Cut.REQUEST_LOST, once_seen=re.compile(b"(INSERT|UPDATE) ")
        )
        assert await caller.ask(b"COMMIT") == b"COMMIT\n"
        assert await caller.ask(b"UPDATE x") == b"UPDATE X\n"
        with pytest.raises(ConnectionResetError):
            await caller.ask(b"COMMIT")
    assert echo.heard == [b"COMMIT\n", b"UPDATE x\n"]
