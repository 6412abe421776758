"""A dataset service that answers what a test tells it to, and keeps what it was asked."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any

from google.protobuf.message import Message
from stage1.dataset.v1 import dataset_pb2
from stage1.dataset.v1 import dataset_service_pb2 as pb
from stage1.dataset.v1.dataset_service_pb2_grpc import DatasetServiceServicer

from services.shared.errors import Stage1Error
from tests.integration.gateway.scripted import Context

Step = Message | Stage1Error | None


class ToldDatasets(DatasetServiceServicer):
    """Streams say their steps one after the other: an error ends them, None is silence."""

    def __init__(self, *steps: Step, appended: int = 0) -> None:
        self.asked: list[Message] = []
        self.uploaded = b""
        self.left = asyncio.Event()
        self.asked_twice = asyncio.Event()
        self._steps = steps
        self._appended = appended

    async def GetDataset(
        self, request: pb.GetDatasetRequest, context: Context
    ) -> pb.GetDatasetResponse:
        found = dataset_pb2.Dataset(dataset_id="the-id", slug="the_slug")
        return pb.GetDatasetResponse(dataset=found, versions=[1])

    async def ImportDataset(
        self, request_iterator: AsyncIterator[pb.ImportDatasetRequest], context: Context
    ) -> pb.ImportDatasetResponse:
        await self._receive(request_iterator)
        return pb.ImportDatasetResponse(dataset=dataset_pb2.Dataset(dataset_id="the-id"))

    async def AppendBars(
        self, request_iterator: AsyncIterator[pb.AppendBarsRequest], context: Context
    ) -> pb.AppendBarsResponse:
        await self._receive(request_iterator)
        return pb.AppendBarsResponse(
            dataset=dataset_pb2.Dataset(dataset_id="the-id", version=2),
            appended_ohlcv_rows=self._appended,
            repeated_ohlcv_rows=5,
        )

    async def AdoptTables(
        self, request: pb.AdoptTablesRequest, context: Context
    ) -> pb.AdoptTablesResponse:
        self.asked.append(request)
        return pb.AdoptTablesResponse(dataset=dataset_pb2.Dataset(dataset_id="the-id", version=1))

    async def SniffFile(
        self, request_iterator: AsyncIterator[pb.SniffFileRequest], context: Context
    ) -> pb.SniffFileResponse:
        await self._receive(request_iterator)
        answer = pb.SniffFileResponse(rows=0, calendar="24x7")
        answer.part.CopyFrom(self.header.part)
        return answer

    async def UpdateDataset(
        self, request: pb.UpdateDatasetRequest, context: Context
    ) -> pb.UpdateDatasetResponse:
        self.asked.append(request)
        return pb.UpdateDatasetResponse(dataset=dataset_pb2.Dataset(dataset_id="the-id"))

    async def VerifyDataset(
        self, request_iterator: AsyncIterator[pb.VerifyDatasetRequest], context: Context
    ) -> AsyncIterator[Any]:
        await self._receive(request_iterator)
        async for step in self._told():
            yield step

    async def WatchDatasets(
        self, request: pb.WatchDatasetsRequest, context: Context
    ) -> AsyncIterator[Any]:
        self.asked.append(request)
        if len(self.asked) > 1:
            self.asked_twice.set()
        async for step in self._told():
            yield step

    @property
    def header(self) -> Any:
        """Of the upload."""
        return self.asked[0]

    async def _receive(self, requests: AsyncIterator[Any]) -> None:
        async for request in requests:
            if request.HasField("header"):
                self.asked.append(request.header)
            self.uploaded += request.bytes.data

    async def _told(self) -> AsyncIterator[Message]:
        steps, self._steps = self._steps, ()
        try:
            for step in _or_silence(steps):
                if step is None:
                    await asyncio.Event().wait()
                elif isinstance(step, Stage1Error):
                    raise step
                else:
                    yield step
        finally:
            self.left.set()


def _or_silence(steps: Sequence[Step]) -> Sequence[Step]:
    return steps or [None]
