"""A version held against the files it was made from, over the wire."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from stage1.dataset.v1 import dataset_service_pb2 as pb
from stage1.dataset.v1 import import_pb2

from services.shared.errors import InvalidRequest, NotFound
from services.shared.rpc.status import refusals
from tests.integration.dataset.client import (
    INDICATORS,
    OHLCV,
    Client,
    euro_files,
    header_of,
)


@pytest.fixture(scope="module")
async def euro(client: Client) -> Client:
    """A service with real bars and their indicators."""
    header = header_of("euro")
    header.parts[0].zone = "UTC"
    await client.publish(header, *euro_files())
    return client


class TestFiles:
    async def verify(
        self,
        euro: Client,
        header: import_pb2.VerifyHeader,
        *files: bytes,
    ) -> import_pb2.VerifyReport:
        async def requests() -> AsyncIterator[pb.VerifyDatasetRequest]:
            yield pb.VerifyDatasetRequest(header=header)
            for part, data in enumerate(files):
                for start in range(0, len(data), 1 << 18):
                    piece = pb.PartBytes(part=part, data=data[start : start + (1 << 18)])
                    yield pb.VerifyDatasetRequest(bytes=piece)

        with refusals():
            *_, last = [answer async for answer in euro.stub.VerifyDataset(requests())]
        assert last.WhichOneof("step") == "report"
        return last.report

    def header(self, *tables: Any, sample: int = 0) -> import_pb2.VerifyHeader:
        parts = [import_pb2.ImportPart(table=table) for table in tables]
        return import_pb2.VerifyHeader(dataset="euro", parts=parts, sample_rows=sample)

    async def test_a_dataset_is_verified_without_files(self, euro: Client) -> None:
        report = await self.verify(euro, self.header())
        assert (report.is_sound, list(report.findings), report.compared_rows) == (True, [], 0)
        request = pb.GetManifestRequest(dataset="euro")
        manifest = (await euro.stub.GetManifest(request)).manifest
        assert report.content_hash == manifest.content_hash
        assert report.rows == manifest.ohlcv_rows + manifest.indicator_rows

    async def test_a_dataset_equals_the_files_it_was_made_of(self, euro: Client) -> None:
        header = self.header(OHLCV, INDICATORS)
        header.parts[0].zone = "UTC"
        whole = await self.verify(euro, header, *euro_files())
        assert whole.is_sound
        assert whole.compared_rows == whole.rows
        header.sample_rows = 100
        sampled = await self.verify(euro, header, *euro_files())
        assert (sampled.is_sound, sampled.compared_rows) == (True, 200)

    async def test_a_price_that_differs_is_shown(self, euro: Client) -> None:
        bars, _ = euro_files()
        lines = bars.splitlines(keepends=True)
        cells = lines[1001].split(b",")
        cells[-1] = b"1234567.5\n"
        lines[1001] = b",".join(cells)
        header = self.header(OHLCV)
        header.parts[0].zone = "UTC"
        report = await self.verify(euro, header, b"".join(lines))
        (finding,) = report.findings
        assert finding.reason == "FILE_ROWS_DIFFER"
        assert "1 rows have other values" in finding.message
        assert "volume is 1234567.5 in the file" in finding.message

    async def test_a_file_of_a_part_is_sound_only_when_that_is_said(self, euro: Client) -> None:
        bars, _ = euro_files()
        lines = bars.splitlines(keepends=True)
        part = b"".join([lines[0], *lines[2000:3000]])
        header = self.header(OHLCV)
        header.parts[0].zone = "UTC"
        (finding,) = (await self.verify(euro, header, part)).findings
        assert finding.reason == "FILE_ROWS_EXTRA"
        assert finding.message.startswith(f"{len(lines) - 1001} rows of the version (")
        assert "are not in the file, which holds 1000 rows from 2017-" in finding.message
        header.partial = True
        report = await self.verify(euro, header, part)
        assert (report.is_sound, report.compared_rows) == (True, 1000)

    async def test_files_are_judged_as_those_of_an_import(self, euro: Client) -> None:
        with pytest.raises(InvalidRequest, match="ohlcv"):
            await self.verify(euro, self.header(OHLCV), b"nonsense")
        with pytest.raises(InvalidRequest, match="has no bytes"):
            await self.verify(euro, self.header(OHLCV, INDICATORS), euro_files()[0])
        with pytest.raises(InvalidRequest, match="at most one of each"):
            await self.verify(euro, self.header(OHLCV, OHLCV))

    async def test_what_is_said_of_files_is_refused_without_files(self, euro: Client) -> None:
        header = self.header(sample=5)
        header.partial = True
        said = "header.sample_rows is about files.*; header.partial is about files"
        with pytest.raises(InvalidRequest, match=said):
            await self.verify(euro, header)

    async def test_a_version_that_is_not_there_is_named(self, euro: Client) -> None:
        header = import_pb2.VerifyHeader(dataset="euro", version=9)
        with pytest.raises(NotFound, match="version 9 of a dataset euro"):
            await self.verify(euro, header)

    async def test_the_store_is_checked_over_the_wire(self, euro: Client) -> None:
        answer = await euro.ask(euro.stub.CheckStore(pb.CheckStoreRequest()))
        assert (answer.datasets, answer.versions, answer.tables) >= (1, 1, 2)
        assert not [f for f in answer.findings if f.subject.startswith("euro")]
