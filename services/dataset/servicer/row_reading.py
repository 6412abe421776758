"""Rows: as they are, summed up for charts, and described."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import aclosing

from stage1.dataset.v1 import dataset_service_pb2 as pb
from stage1.dataset.v1.dataset_service_pb2_grpc import DatasetServiceServicer

from services.dataset.app.bars import Bars, Reading
from services.dataset.app.describing import Describing
from services.dataset.app.tiles import Tiles
from services.dataset.convert import requests
from services.dataset.convert.description import description
from services.shared.arrow_stream import DataStreams, encode
from services.shared.rpc.guards import Context, writes


class RowReading(DatasetServiceServicer):
    _bars: Bars
    _describing: Describing
    _streams: DataStreams
    _tiles: Tiles

    @writes
    async def ReadBars(self, request: pb.ReadBarsRequest, context: Context) -> None:
        await self._send(context, await self._bars.read(requests.bars(request)))

    @writes
    async def ReadIndexMap(self, request: pb.ReadIndexMapRequest, context: Context) -> None:
        await self._send(context, await self._bars.read(requests.index_map(request)))

    @writes
    async def AggregateBars(self, request: pb.AggregateBarsRequest, context: Context) -> None:
        await self._send(context, await self._tiles.read(requests.tiles(request)))

    async def DescribeColumns(
        self, request: pb.DescribeColumnsRequest, context: Context
    ) -> AsyncIterator[pb.DescribeColumnsResponse]:
        async with aclosing(self._describing.describe(requests.describing(request))) as steps:
            async for step in steps:
                for response in description(step):
                    yield response

    async def _send(self, context: Context, reading: Reading) -> None:
        await self._streams.send(context, encode(reading.schema, reading.pieces))

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
