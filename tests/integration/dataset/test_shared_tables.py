"""Versions made by appends share their tables: what is verified, checked, told and deleted."""

from __future__ import annotations

from collections.abc import AsyncIterator
from uuid import uuid4

import numpy as np
import pytest
from stage1.dataset.v1 import dataset_service_pb2 as pb
from stage1.dataset.v1 import import_pb2

from services.dataset.domain.times import Times
from services.shared.errors import Conflict
from services.shared.rpc.status import refusals
from tests.integration.dataset.client import (
    INDICATORS,
    OHLCV,
    READ_BARS,
    Client,
    bar_file,
    header_of,
    indicator_file,
)
from tests.unit.dataset.bars import hourly

TIMES = np.delete(hourly(3000), 2950)


def files(times: Times, bars: slice, indicators: slice) -> tuple[bytes, bytes]:
    """Rows as they would be in files of the whole."""
    return (
        bar_file(times[bars], volume=np.arange(len(times), dtype=np.float64)[bars]),
        indicator_file(times[indicators]),
    )


async def append(client: Client, dataset: str, *parts: bytes) -> pb.AppendBarsResponse:
    async def requests() -> AsyncIterator[pb.AppendBarsRequest]:
        tables = [import_pb2.ImportPart(table=table) for table in (OHLCV, INDICATORS)]
        yield pb.AppendBarsRequest(header=import_pb2.AppendHeader(dataset=dataset, parts=tables))
        for part, data in enumerate(parts):
            yield pb.AppendBarsRequest(bytes=pb.PartBytes(part=part, data=data))

    return await client.ask(client.stub.AppendBars(requests()))


async def grown(client: Client, slug: str) -> None:
    """Three versions on the same two tables."""
    await client.publish(header_of(slug), *files(TIMES, slice(0, 2000), slice(50, 1990)))
    for end in (2500, 2999):
        start = end - 499 if end == 2999 else 2000
        parts = files(TIMES, slice(start, end), slice(start - 10, end - 10))
        answer = await append(client, slug, *parts)
    assert answer.dataset.version == 3


async def verified(client: Client, slug: str, version: int) -> import_pb2.VerifyReport:
    async def requests() -> AsyncIterator[pb.VerifyDatasetRequest]:
        header = import_pb2.VerifyHeader(dataset=slug, version=version)
        yield pb.VerifyDatasetRequest(header=header)

    with refusals():
        *_, last = [answer async for answer in client.stub.VerifyDataset(requests())]
    return last.report


async def test_every_version_is_verified_up_to_its_watermark(client: Client) -> None:
    await grown(client, "prefixes")
    for version, rows in ((1, 2000), (2, 2500), (3, 2999)):
        report = await verified(client, "prefixes", version)
        assert list(report.findings) == []
        assert report.rows == rows + rows - 60


async def test_a_check_of_the_store_counts_the_newest_version(client: Client) -> None:
    await grown(client, "counted_once")
    answer = await client.ask(client.stub.CheckStore(pb.CheckStoreRequest()))
    assert [f for f in answer.findings if f.subject.startswith("counted_once")] == []


async def test_rows_come_backwards_from_the_watermark_of_a_version(client: Client) -> None:
    await grown(client, "older")
    request = pb.ReadBarsRequest(dataset="older", version=2, table=OHLCV, descending=True)
    table = await client.read(READ_BARS, request)
    assert table["index"].to_pylist() == list(range(2499, -1, -1))
    boundaries = pb.ResolveBoundariesRequest(
        dataset="older", version=1, table=OHLCV, times_ms=[int(TIMES[1999]), int(TIMES[2400])]
    )
    answer = await client.ask(client.stub.ResolveBoundaries(boundaries))
    assert list(answer.indices) == [1999, 2000]


async def test_an_append_is_an_event_and_an_import_of_its_kind(client: Client) -> None:
    await grown(client, "told")
    listed = await client.ask(client.stub.ListImports(pb.ListImportsRequest(slug="told")))
    kinds = [record.kind for record in listed.imports]
    append_, import_ = import_pb2.Import.KIND_APPEND, import_pb2.Import.KIND_IMPORT
    assert kinds == [append_, append_, import_]
    call = client.stub.WatchDatasets(pb.WatchDatasetsRequest(cursor="0", dataset="told"))
    events = aiter(call)
    assert [(await anext(events)).version for _ in range(3)] == [1, 2, 3]
    call.cancel()


async def test_a_delete_names_the_runs_and_takes_the_shared_tables_once(client: Client) -> None:
    await grown(client, "shared")
    runs = [str(uuid4()) for _ in range(5)]
    for version, run in zip((1, 2, 3, 1, 2), runs, strict=True):
        pin = pb.PinVersionRequest(dataset="shared", version=version, holder=run)
        await client.ask(client.stub.PinVersion(pin))
    delete = pb.DeleteDatasetRequest(dataset="shared")
    with pytest.raises(Conflict) as caught:
        await client.ask(client.stub.DeleteDataset(delete))
    named = ", ".join(sorted(runs)[:3])
    assert f"is needed by the runs {named} and 2 more" in str(caught.value)
    for run in runs:
        await client.ask(client.stub.UnpinVersion(pb.UnpinVersionRequest(holder=run)))
    await client.ask(client.stub.DeleteDataset(delete))
    assert not {name for name in client.leftovers() if name.startswith("shared")}
