"""A whole stream read in one thread."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator

import pyarrow as pa
import pytest

from services.shared.arrow_stream import MalformedStream, each_batch
from services.shared.errors import Conflict, NotFound, Stalled
from tests.unit.shared_arrow.served import BATCH, METHOD, REQUEST, Source, failing, served


async def test_every_batch_is_given_in_one_thread_that_is_not_the_callers() -> None:
    batches: list[pa.RecordBatch] = []
    threads = set()

    def take(batch: pa.RecordBatch) -> None:
        batches.append(batch)
        threads.add(threading.get_ident())

    async with served(Source(20).rows) as opened:
        await each_batch(opened, METHOD, REQUEST, take, schema=BATCH.schema)
    assert pa.Table.from_batches(batches).equals(pa.Table.from_batches([BATCH] * 20))
    assert len(threads) == 1
    assert threading.get_ident() not in threads


async def test_what_the_server_raises_reaches_the_caller() -> None:
    async with served(failing) as opened:
        with pytest.raises(NotFound, match="There is no bar") as caught:
            await each_batch(opened, METHOD, REQUEST, lambda batch: None)
    assert caught.value.reason == "NO_BAR"


async def test_other_columns_than_expected_are_refused_and_free_the_servers_side() -> None:
    source = Source(1_000)
    async with served(source.rows) as opened:
        schema = pa.schema([("x", pa.float64())])
        with pytest.raises(MalformedStream, match="expected are x"):
            await each_batch(opened, METHOD, REQUEST, lambda batch: None, schema=schema)
        await source.closed.wait()


async def test_what_is_raised_while_taking_ends_the_stream() -> None:
    source = Source(1_000)

    def take(batch: pa.RecordBatch) -> None:
        raise Conflict("These rows are there already.")

    async with served(source.rows) as opened:
        with pytest.raises(Conflict, match="there already"):
            await each_batch(opened, METHOD, REQUEST, take)
        await source.closed.wait()


async def test_a_cancelled_reading_ends_after_its_last_batch() -> None:
    source = Source(1_000)
    taking, may_end = asyncio.Event(), threading.Event()
    loop, taken = asyncio.get_running_loop(), []

    def take(batch: pa.RecordBatch) -> None:
        loop.call_soon_threadsafe(taking.set)
        may_end.wait()
        taken.append(batch)

    async with served(source.rows) as opened:
        reading = asyncio.create_task(each_batch(opened, METHOD, REQUEST, take))
        await taking.wait()
        reading.cancel()
        done, _ = await asyncio.wait([reading], timeout=0.1)
        assert not done
        may_end.set()
        with pytest.raises(asyncio.CancelledError):
            await reading
        count = len(taken)
        await source.closed.wait()
    assert len(taken) == count


async def test_a_server_that_goes_silent_is_told() -> None:
    async def silent() -> AsyncGenerator[pa.RecordBatch]:
        yield BATCH
        await asyncio.Event().wait()

    async with served(silent) as opened:
        with pytest.raises(Stalled, match=r"ReadBars sent nothing for 0\.2 s"):
            await each_batch(opened, METHOD, REQUEST, lambda batch: None, stall_seconds=0.2)


async def test_who_takes_long_is_no_silent_server() -> None:
    def take(batch: pa.RecordBatch) -> None:
        threading.Event().wait(2)

    async with served(Source(1).rows) as opened:
        await each_batch(opened, METHOD, REQUEST, lambda batch: None)  # it is connected by now
        await each_batch(opened, METHOD, REQUEST, take, stall_seconds=1)
