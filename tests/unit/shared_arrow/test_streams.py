from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import cast

import pyarrow as pa
import pytest
import structlog
from grpc import aio
from hypothesis import given
from hypothesis import strategies as st

from services.shared.arrow_stream import (
    DataStreams,
    MalformedStream,
    TooManyStreams,
    encode,
    read_arrow,
    read_ipc,
)
from services.shared.arrow_stream.guard import STALL_BYTES, STREAM_BYTES, Pace
from services.shared.errors import Exhausted, NotFound, Stalled
from services.shared.rpc.guards import Context
from tests.unit.shared_arrow.served import BATCH, METHOD, REQUEST, Source, failing, served


async def test_a_table_crosses_the_wire() -> None:
    async with served(Source(20).rows) as opened:
        batches = [b async for b in read_arrow(opened, METHOD, REQUEST, schema=BATCH.schema)]
    assert pa.Table.from_batches(batches).equals(pa.Table.from_batches([BATCH] * 20))


async def test_the_bytes_can_be_handed_on_unread() -> None:
    async with served(Source(3).rows) as opened:
        ipc = b"".join([piece async for piece in read_ipc(opened, METHOD, REQUEST)])
    assert pa.ipc.open_stream(ipc).read_all().num_rows == 30_000


async def test_what_the_server_raises_reaches_the_reader() -> None:
    async with served(failing) as opened:
        with pytest.raises(NotFound, match="There is no bar") as caught:
            _ = [b async for b in read_arrow(opened, METHOD, REQUEST)]
    assert caught.value.reason == "NO_BAR"


async def test_other_columns_than_expected_are_refused() -> None:
    async with served(Source(1).rows) as opened:
        with pytest.raises(MalformedStream, match="expected are x"):
            _ = [
                b
                async for b in read_arrow(
                    opened, METHOD, REQUEST, schema=pa.schema([("x", pa.float64())])
                )
            ]


async def test_a_reader_that_leaves_frees_the_servers_side() -> None:
    source = Source(1_000)
    async with served(source.rows, streams=1) as opened:
        async with aclosing(read_arrow(opened, METHOD, REQUEST)) as batches:
            await anext(batches)
        await source.closed.wait()
        async with aclosing(read_arrow(opened, METHOD, REQUEST)) as batches:
            assert (await anext(batches)).num_rows == BATCH.num_rows


async def test_readers_that_leave_are_no_crash_of_the_server(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with structlog.testing.capture_logs() as logs:
        sources = [Source(1_000) for _ in range(20)]
        coming = iter(sources)
        async with served(lambda: next(coming).rows()) as opened:
            for source in sources:
                async with aclosing(read_arrow(opened, METHOD, REQUEST)) as batches:
                    for _ in range(5):
                        await anext(batches)
                await source.closed.wait()
    assert "rpc_crashed" not in {line["event"] for line in logs}
    assert caplog.records == []


class Gone:
    """The context of a call whose reader goes after some messages."""

    def __init__(self, messages: int) -> None:
        self._left = messages

    async def write(self, message: bytes) -> None:
        self._left -= 1
        if self._left < 0:
            raise aio.InternalError('Failed "execute_batch"')


async def test_a_message_that_cannot_be_sent_ends_the_call_as_if_it_was_cancelled() -> None:
    streams = DataStreams(budget_bytes=STREAM_BYTES)
    for messages in (2, 5):
        source = Source(10)
        with pytest.raises(asyncio.CancelledError):
            await streams.send(cast(Context, Gone(messages)), encode(BATCH.schema, source.rows()))
        assert source.closed.is_set()


async def test_more_streams_than_the_budget_holds_are_refused() -> None:
    async with served(Source(1_000).rows, streams=2) as opened:
        readers = [read_arrow(opened, METHOD, REQUEST) for _ in range(3)]
        for reader in readers[:2]:
            await anext(reader)
        with pytest.raises(Exhausted) as caught:
            await anext(readers[2])
        assert caught.value.reason == TooManyStreams.reason
        for reader in readers:
            await reader.aclose()


async def test_a_reader_that_stands_still_is_cut_off_and_told() -> None:
    source = Source(1_000)
    async with served(source.rows, streams=1, stall_seconds=0.1) as opened:
        stalled = read_arrow(opened, METHOD, REQUEST)
        await anext(stalled)
        await source.closed.wait()
        other = read_arrow(opened, METHOD, REQUEST)  # its share of the budget is free again
        await anext(other)
        with pytest.raises(Stalled, match="did not move 65536 bytes within"):
            _ = [batch async for batch in stalled]
        await other.aclose()


async def test_a_reader_that_stands_still_and_then_goes_leaves_no_trace(
    caplog: pytest.LogCaptureFixture,
) -> None:
    source = Source(1_000)
    async with served(source.rows, streams=1, stall_seconds=0.1) as opened:
        stalled = read_arrow(opened, METHOD, REQUEST)
        await anext(stalled)
        await source.closed.wait()
        await stalled.aclose()
        async with aclosing(read_arrow(opened, METHOD, REQUEST)) as batches:
            await anext(batches)
    gc.collect()  # where asyncio tells of exceptions that nobody saw
    assert caplog.records == []


async def test_a_source_that_takes_long_is_no_stall() -> None:
    async def slow() -> AsyncGenerator[pa.RecordBatch]:
        yield BATCH
        await asyncio.sleep(0.3)
        yield BATCH

    async with served(slow, stall_seconds=0.1) as opened:
        assert len([b async for b in read_arrow(opened, METHOD, REQUEST)]) == 2


class Request:
    def __init__(self, size: int) -> None:
        self._size = size

    def ByteSize(self) -> int:
        return self._size


async def uploads(*sizes: int, then_hangs: bool = False) -> AsyncIterator[Request]:
    for size in sizes:
        yield Request(size)
    if then_hangs:
        await asyncio.Event().wait()


async def test_an_upload_is_received_whole() -> None:
    streams = DataStreams()
    assert [r.ByteSize() async for r in streams.receive(uploads(1, 2, 3))] == [1, 2, 3]


async def test_an_upload_that_stands_still_is_refused_and_its_budget_free() -> None:
    streams = DataStreams(budget_bytes=STREAM_BYTES, stall_seconds=0.05)
    with pytest.raises(Stalled, match="did not move"):
        _ = [r async for r in streams.receive(uploads(1 << 20, 5, then_hangs=True))]
    assert len([r async for r in streams.receive(uploads(1))]) == 1


async def test_uploads_and_reads_share_the_budget() -> None:
    streams = DataStreams(budget_bytes=STREAM_BYTES)
    async with aclosing(streams.receive(uploads(1, 2))) as open_upload:
        await anext(open_upload)
        with pytest.raises(TooManyStreams):
            await anext(streams.receive(uploads(1)))


@given(st.lists(st.tuples(st.integers(0, 2 * STALL_BYTES), st.floats(0, 40)), max_size=30))
def test_only_waiting_since_the_last_64_kib_counts(moves: list[tuple[int, float]]) -> None:
    pace = Pace(60.0)
    waited = moved = 0.0
    for size, seconds in moves:
        pace.moved(size, seconds)
        waited, moved = waited + seconds, moved + size
        if moved >= STALL_BYTES:
            waited = moved = 0.0
        assert pace.left == pytest.approx(max(60.0 - waited, 0.0))
