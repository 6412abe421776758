"""A file is looked at: what an import would make of it is told, and nothing is kept."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable
from pathlib import Path

import pytest
from stage1.dataset.v1 import dataset_service_pb2 as pb
from stage1.dataset.v1 import import_pb2

from services.shared.errors import InvalidRequest
from tests.integration.dataset.client import INDICATORS, OHLCV, Client, header_of
from tests.unit.dataset.bars import EXAMPLES

FORMATS = EXAMPLES / "formats"


async def requests(
    header: import_pb2.SniffHeader, content: bytes
) -> AsyncIterator[pb.SniffFileRequest]:
    yield pb.SniffFileRequest(header=header)
    for start in range(0, len(content), 1000):
        data = content[start : start + 1000]
        yield pb.SniffFileRequest(bytes=pb.PartBytes(part=0, data=data))


def sniff(
    client: Client, path: Path, part: import_pb2.ImportPart
) -> Awaitable[pb.SniffFileResponse]:
    header = import_pb2.SniffHeader(part=part)
    return client.ask(client.stub.SniffFile(requests(header, path.read_bytes())))


async def test_what_was_guessed_comes_back_with_its_reasons(client: Client) -> None:
    part = import_pb2.ImportPart(table=OHLCV, file_name="x.csv")
    found = await sniff(client, FORMATS / "decimal_commas.csv", part)
    assert found.part.format == import_pb2.ImportPart.FORMAT_CSV
    assert (found.part.separator, found.part.decimal, found.part.zone) == (";", ",", "UTC")
    assert found.part.date_order == import_pb2.ImportPart.DATE_ORDER_DAY_FIRST
    assert (found.part.timestamp_column, found.part.file_name) == ("date", "x.csv")
    assert (found.rows, found.bar_interval_ms) == (72, 3_600_000)
    assert found.calendar == "observed"
    assert (found.first_timestamp_ms, found.last_timestamp_ms) == (1715558400000, 1715814000000)
    told = " ".join(found.report.notes)
    assert "separated by semicolons" in told
    assert "Calendar observed: The bars are too few" in told
    assert [column.name for column in found.report.columns][:2] == ["open", "high"]


async def test_a_file_of_indicators_is_looked_at_alone(client: Client) -> None:
    part = import_pb2.ImportPart(table=INDICATORS)
    found = await sniff(client, FORMATS / "tssb_database.txt", part)
    assert found.part.market == "WALK"
    assert found.part.format == import_pb2.ImportPart.FORMAT_TSSB_DATABASE
    assert [column.name for column in found.report.columns] == ["CMMA_20", "RANGE", "TGT_NEXT"]
    assert found.bar_interval_ms == 3_600_000


async def test_an_import_with_the_part_that_came_back_is_the_same(client: Client) -> None:
    content = (FORMATS / "kraken.zip").read_bytes()
    asked = import_pb2.ImportPart(table=OHLCV, member="kraken_ohlcvt/60.csv")
    found = await sniff(client, FORMATS / "kraken.zip", asked)
    guessed, said = header_of("sniffed", OHLCV), header_of("said", OHLCV)
    guessed.parts[0].CopyFrom(asked)
    said.parts[0].CopyFrom(found.part)
    first = await client.publish(guessed, content)
    again = await client.publish(said, content)
    assert first.dataset.manifest.content_hash == again.dataset.manifest.content_hash


async def test_what_an_import_refuses_is_refused_and_nothing_is_kept(client: Client) -> None:
    before = client.leftovers()
    part = import_pb2.ImportPart(table=OHLCV, file_name="broker.csv")
    with pytest.raises(InvalidRequest, match="server, whatever that is") as caught:
        await sniff(client, FORMATS / "metatrader4.csv", part)
    assert caught.value.reason == "FILE_AMBIGUOUS"
    await sniff(client, FORMATS / "iso_8601.csv", part)
    assert client.leftovers() == before
    imports = await client.stub.ListImports(pb.ListImportsRequest(slug="broker"))
    assert not imports.imports


async def test_without_bytes_there_is_nothing_to_look_at(client: Client) -> None:
    header = import_pb2.SniffHeader(part=import_pb2.ImportPart(table=OHLCV))
    with pytest.raises(InvalidRequest, match="has no bytes"):
        await client.ask(client.stub.SniffFile(requests(header, b"")))
    wrong = import_pb2.SniffHeader(part=import_pb2.ImportPart(table=OHLCV, decimal=";"))
    with pytest.raises(InvalidRequest, match="decimal is ';'"):
        await client.ask(client.stub.SniffFile(requests(wrong, b"x")))
