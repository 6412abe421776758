"""gRPC to use cases: read the request, one call, write the answer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from grpc import aio
from stage1.dataset.v1 import dataset_service_pb2 as pb
from stage1.dataset.v1.dataset_service_pb2_grpc import DatasetServiceServicer

from services.dataset.app.bars import Bars, Reading
from services.dataset.app.datasets import Datasets
from services.dataset.app.importing import Imports
from services.dataset.convert import importing, requests
from services.dataset.convert.manifest import dataset_to_proto, manifest_to_proto, report_to_proto
from services.shared.arrow_stream import DataStreams, encode

Context = aio.ServicerContext[Any, Any]


class DatasetServicer(DatasetServiceServicer):
    """The data streams yield messages that are serialized already (see arrow_stream)."""

    def __init__(
        self,
        *,
        datasets: Datasets,
        imports: Imports,
        bars: Bars,
        streams: DataStreams,
        max_upload_bytes: int,
    ) -> None:
        self._datasets = datasets
        self._imports = imports
        self._bars = bars
        self._streams = streams
        self._max_upload_bytes = max_upload_bytes

    async def ImportDataset(
        self, request_iterator: AsyncIterator[pb.ImportDatasetRequest], context: Context
    ) -> pb.ImportDatasetResponse:
        received = self._streams.receive(request_iterator)
        first = await anext(received, pb.ImportDatasetRequest())
        order = importing.import_order(first, self._max_upload_bytes)
        pieces = (importing.part_bytes(request) async for request in received)
        published = await self._imports.run(order, pieces)
        return pb.ImportDatasetResponse(
            dataset=dataset_to_proto(published.dataset), report=report_to_proto(published)
        )

    async def GetDataset(
        self, request: pb.GetDatasetRequest, context: Context
    ) -> pb.GetDatasetResponse:
        dataset, versions = await self._datasets.get(requests.dataset_name(request.dataset))
        return pb.GetDatasetResponse(dataset=dataset_to_proto(dataset), versions=versions)

    async def ListDatasets(
        self, request: pb.ListDatasetsRequest, context: Context
    ) -> pb.ListDatasetsResponse:
        found = await self._datasets.list(requests.listing(request))
        return await asyncio.to_thread(requests.page, found)

    async def GetManifest(
        self, request: pb.GetManifestRequest, context: Context
    ) -> pb.GetManifestResponse:
        manifest = await self._datasets.manifest(*requests.versioned(request))
        return pb.GetManifestResponse(manifest=manifest_to_proto(manifest))

    async def ReadBars(
        self, request: pb.ReadBarsRequest, context: Context
    ) -> AsyncIterator[pb.ReadBarsResponse]:
        reading = await self._bars.read(requests.bars(request))
        async for message in self._sent(context, reading):
            yield message

    async def ReadIndexMap(
        self, request: pb.ReadIndexMapRequest, context: Context
    ) -> AsyncIterator[pb.ReadIndexMapResponse]:
        reading = await self._bars.read(requests.index_map(request))
        async for message in self._sent(context, reading):
            yield message

    def _sent(self, context: Context, reading: Reading) -> Any:
        return self._streams.send(context, encode(reading.schema, reading.pieces))

    async def ResolveBoundaries(
        self, request: pb.ResolveBoundariesRequest, context: Context
    ) -> pb.ResolveBoundariesResponse:
        where, table, indices, times_ms = requests.points(request)
        if times_ms:
            found = await self._bars.indices_of(*where, table, times_ms)
            return pb.ResolveBoundariesResponse(indices=found)
        return pb.ResolveBoundariesResponse(
            times_ms=await self._bars.times_of(*where, table, indices)
        )

    async def PinVersion(
        self, request: pb.PinVersionRequest, context: Context
    ) -> pb.PinVersionResponse:
        where, holder = requests.pin(request)
        manifest = await self._datasets.pin(*where, holder)
        return pb.PinVersionResponse(manifest=manifest_to_proto(manifest))

    async def UnpinVersion(
        self, request: pb.UnpinVersionRequest, context: Context
    ) -> pb.UnpinVersionResponse:
        await self._datasets.unpin(requests.holder(request))
        return pb.UnpinVersionResponse()

    async def DeleteDataset(
        self, request: pb.DeleteDatasetRequest, context: Context
    ) -> pb.DeleteDatasetResponse:
        await self._datasets.delete(requests.dataset_name(request.dataset), force=request.force)
        return pb.DeleteDatasetResponse()
