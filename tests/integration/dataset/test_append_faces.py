"""Appends as clients and readers meet them, and the places where faults may strike."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pyarrow as pa
import pytest
from stage1.dataset.v1 import dataset_service_pb2 as pb
from stage1.dataset.v1 import import_pb2

from services.dataset.app.bars import Bars, BarsQuery
from services.dataset.app.steps import FAILPOINTS
from services.dataset.domain.columns import Table
from services.shared.arrow_stream import decode, encode
from services.shared.errors import Conflict, InvalidRequest
from services.shared.postgres import Pool
from tests.integration.dataset.client import INDICATORS, OHLCV, Client, header_of
from tests.integration.dataset.growing import World, changed, written
from tests.integration.dataset.inside import append, order, started
from tests.integration.dataset.mortal import armed

WORLD = World(400)


async def requests(
    header: import_pb2.AppendHeader, *parts: bytes
) -> AsyncIterator[pb.AppendBarsRequest]:
    yield pb.AppendBarsRequest(header=header)
    for part, data in enumerate(parts):
        yield pb.AppendBarsRequest(bytes=pb.PartBytes(part=part, data=data))


def header(dataset: str) -> import_pb2.AppendHeader:
    parts = [import_pb2.ImportPart(table=table) for table in (OHLCV, INDICATORS)]
    return import_pb2.AppendHeader(dataset=dataset, parts=parts)


async def test_a_client_appends_and_is_told_what_was_new(client: Client) -> None:
    await client.publish(header_of("told"), *WORLD.files((0, 300), (0, 244)))
    files = WORLD.files((290, 310), (240, 254))
    answer = await client.ask(client.stub.AppendBars(requests(header("told"), *files)))
    assert (answer.appended_ohlcv_rows, answer.appended_indicator_rows) == (10, 10)
    assert (answer.repeated_ohlcv_rows, answer.repeated_indicator_rows) == (10, 4)
    assert (answer.dataset.version, answer.dataset.manifest.ohlcv_rows) == (2, 310)
    assert (await client.bars("told", 1)).num_rows == 300
    assert (await client.bars("told")).num_rows == 310
    other = written(changed(WORLD.bars.slice(300, 20), 3, "volume", 1e9))
    files = other, WORLD.indicators_file(244, 264)
    with pytest.raises(Conflict) as refused:
        await client.ask(client.stub.AppendBars(requests(header("told"), *files)))
    assert refused.value.reason == "ROWS_DIFFER"


async def test_an_append_needs_parts_and_each_once(client: Client) -> None:
    for parts in ([], [OHLCV, OHLCV]):
        wrong = header("told")
        del wrong.parts[:]
        wrong.parts.extend(import_pb2.ImportPart(table=table) for table in parts)
        with pytest.raises(InvalidRequest, match=r"header\.parts are"):
            await client.ask(client.stub.AppendBars(requests(wrong, b"", b"")))


async def test_a_reader_in_the_middle_of_a_stream_keeps_its_version(
    migrated: Pool, tmp_path: Path
) -> None:
    world = World(60_100)
    async with started(migrated, tmp_path) as service:
        await service.run(order("streamed"), *world.files((0, 60_000), (0, 59_944)))
        query = BarsQuery(
            name="streamed", version=None, table=Table.JOINED, columns=None, span=None
        )
        reading = await Bars(catalogue=service.catalogue, series=service.series).read(query)
        batches = decode(encode(reading.schema, reading.pieces))
        found = [await anext(batches)]
        assert found[0].num_rows < 59_944
        await service.append(append("streamed"), *world.files((60_000, 60_100), (59_944, 60_044)))
        found += [batch async for batch in batches]
        rows = pa.Table.from_batches(found)
        assert rows.num_rows == 59_944
        assert rows["RSI"].equals(world.indicators["RSI"].slice(0, 59_944))
        assert rows["close"].equals(world.bars["close"].slice(50, 59_944))


async def test_every_failpoint_is_reached_and_none_is_without_a_name(
    migrated: Pool, tmp_path: Path
) -> None:
    reached = []

    async def note(name: str) -> None:
        reached.append(name)

    async with started(migrated, tmp_path) as service:
        with armed(note):
            await service.run(order("noted"), *WORLD.files((0, 300), (0, 244)))
            await service.append(append("noted"), *WORLD.files((300, 310), (244, 254)))
    assert tuple(reached) == FAILPOINTS
