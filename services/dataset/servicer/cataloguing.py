"""What is known of datasets: finding, listing, changing, pinning and removing them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing

from stage1.dataset.v1 import dataset_service_pb2 as pb
from stage1.dataset.v1.dataset_service_pb2_grpc import DatasetServiceServicer

from services.dataset.app.checking import Checking
from services.dataset.app.datasets import Datasets
from services.dataset.app.history import History
from services.dataset.app.verifying import Verifying
from services.dataset.app.watching import Watches
from services.dataset.convert import events, history, requests, updates, verification
from services.dataset.convert.manifest import dataset_to_proto, manifest_to_proto
from services.dataset.convert.parts import part_bytes
from services.shared.arrow_stream import DataStreams
from services.shared.rpc.guards import Context


class Cataloguing(DatasetServiceServicer):
    _checking: Checking
    _datasets: Datasets
    _history: History
    _max_upload_bytes: int
    _streams: DataStreams
    _verifying: Verifying
    _watches: Watches

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

    async def ListDatasetVersions(
        self, request: pb.ListDatasetVersionsRequest, context: Context
    ) -> pb.ListDatasetVersionsResponse:
        found = await self._history.versions(*history.versions(request))
        return await asyncio.to_thread(history.versions_page, found)

    async def UpdateDataset(
        self, request: pb.UpdateDatasetRequest, context: Context
    ) -> pb.UpdateDatasetResponse:
        dataset = await self._datasets.update(*updates.update(request))
        return pb.UpdateDatasetResponse(dataset=dataset_to_proto(dataset))

    async def ListImports(
        self, request: pb.ListImportsRequest, context: Context
    ) -> pb.ListImportsResponse:
        return history.imports_page(await self._history.imports(history.imports(request)))

    async def GetImport(
        self, request: pb.GetImportRequest, context: Context
    ) -> pb.GetImportResponse:
        record = await self._history.import_(history.import_id(request))
        return pb.GetImportResponse(**{"import": history.import_to_proto(record)})

    async def VerifyDataset(
        self, request_iterator: AsyncIterator[pb.VerifyDatasetRequest], context: Context
    ) -> AsyncIterator[pb.VerifyDatasetResponse]:
        async with aclosing(self._streams.receive(request_iterator)) as received:
            first = await anext(received, pb.VerifyDatasetRequest())
            order = verification.verify_order(first, self._max_upload_bytes)
            pieces = (part_bytes(request) async for request in received)
            async with aclosing(self._verifying.run(order, pieces)) as steps:
                async for step in steps:
                    yield verification.step(step)

    async def CheckStore(
        self, request: pb.CheckStoreRequest, context: Context
    ) -> pb.CheckStoreResponse:
        return verification.checked(await self._checking.run())

    async def WatchDatasets(
        self, request: pb.WatchDatasetsRequest, context: Context
    ) -> AsyncIterator[pb.WatchDatasetsResponse]:
        async with aclosing(self._watches.follow(*events.watch(request))) as followed:
            async for event in followed:
                yield events.told(event)

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
