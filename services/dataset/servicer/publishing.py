"""What is put into the catalogue: imports, appends, adoption."""

from __future__ import annotations

from collections.abc import AsyncIterator

from stage1.dataset.v1 import dataset_service_pb2 as pb
from stage1.dataset.v1.dataset_service_pb2_grpc import DatasetServiceServicer

from services.dataset.app.adopting import Adoptions
from services.dataset.app.appending import Appends
from services.dataset.app.importing import Imports
from services.dataset.app.sniffing import Sniffing
from services.dataset.convert import importing, parts, sniffing
from services.dataset.convert.manifest import dataset_to_proto, report_to_proto
from services.shared.arrow_stream import DataStreams
from services.shared.rpc.guards import Context


class Publishing(DatasetServiceServicer):
    _imports: Imports
    _appends: Appends
    _adoptions: Adoptions
    _sniffing: Sniffing
    _streams: DataStreams
    _max_upload_bytes: int

    async def ImportDataset(
        self, request_iterator: AsyncIterator[pb.ImportDatasetRequest], context: Context
    ) -> pb.ImportDatasetResponse:
        received = self._streams.receive(request_iterator)
        first = await anext(received, pb.ImportDatasetRequest())
        order = importing.import_order(first, self._max_upload_bytes)
        pieces = (parts.part_bytes(request) async for request in received)
        published = await self._imports.run(order, pieces)
        return pb.ImportDatasetResponse(
            dataset=dataset_to_proto(published.dataset), report=report_to_proto(published)
        )

    async def AppendBars(
        self, request_iterator: AsyncIterator[pb.AppendBarsRequest], context: Context
    ) -> pb.AppendBarsResponse:
        received = self._streams.receive(request_iterator)
        first = await anext(received, pb.AppendBarsRequest())
        order = importing.append_order(first, self._max_upload_bytes)
        pieces = (parts.part_bytes(request) async for request in received)
        published = await self._appends.run(order, pieces)
        counts = published.report.counts
        return pb.AppendBarsResponse(
            dataset=dataset_to_proto(published.dataset),
            report=report_to_proto(published),
            appended_ohlcv_rows=counts.ohlcv_rows,
            appended_indicator_rows=counts.indicator_rows,
            repeated_ohlcv_rows=counts.repeated_ohlcv_rows,
            repeated_indicator_rows=counts.repeated_indicator_rows,
        )

    async def AdoptTables(
        self, request: pb.AdoptTablesRequest, context: Context
    ) -> pb.AdoptTablesResponse:
        adoption = importing.adopt_order(request, self._max_upload_bytes)
        published = await self._adoptions.run(adoption)
        return pb.AdoptTablesResponse(
            dataset=dataset_to_proto(published.dataset), report=report_to_proto(published)
        )

    async def SniffFile(
        self, request_iterator: AsyncIterator[pb.SniffFileRequest], context: Context
    ) -> pb.SniffFileResponse:
        received = self._streams.receive(request_iterator)
        first = await anext(received, pb.SniffFileRequest())
        order = sniffing.sniff_order(first, self._max_upload_bytes)
        pieces = (parts.part_bytes(request) async for request in received)
        return sniffing.sniffed_to_proto(await self._sniffing.run(order, pieces))
