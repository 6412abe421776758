"""gRPC to the simulator: read the request, one call, stream what came out."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import Final

from stage1.runs.v1 import run_pb2
from stage1.simulator.v1 import simulator_service_pb2 as pb
from stage1.simulator.v1.simulator_service_pb2_grpc import SimulatorServiceServicer

from services.shared.arrow_stream import DataStreams, ipc_messages
from services.shared.rpc.guards import Context, writes
from services.simulator import convert
from services.simulator.app import Finished, Simulator

HEARTBEAT_SECONDS: Final = 5.0


class SimulatorServicer(SimulatorServiceServicer):
    def __init__(
        self,
        simulator: Simulator,
        streams: DataStreams,
        *,
        heartbeat_seconds: float = HEARTBEAT_SECONDS,
    ) -> None:
        self._simulator = simulator
        self._streams = streams
        self._heartbeat_seconds = heartbeat_seconds

    @writes
    async def Simulate(self, request: pb.SimulateRequest, context: Context) -> None:
        job = convert.job(request)
        finishing = asyncio.create_task(self._simulator.simulate(job))
        events = self._events(finishing)
        try:
            await self._streams.send(context, events)
        finally:
            finishing.cancel()

    async def _events(self, finishing: asyncio.Task[Finished]) -> AsyncGenerator[bytes]:
        heartbeat = pb.SimulateResponse(heartbeat=run_pb2.Heartbeat())
        while not (await asyncio.wait({finishing}, timeout=self._heartbeat_seconds))[0]:
            yield heartbeat.SerializeToString()
        finished = finishing.result()
        for ipc in ipc_messages(finished.trades.schema, [finished.trades]):
            yield pb.SimulateResponse(trades=pb.TradesPart(ipc=ipc)).SerializeToString()
        for ipc in ipc_messages(finished.equity.schema, [finished.equity]):
            yield pb.SimulateResponse(equity=pb.EquityPart(ipc=ipc)).SerializeToString()
        yield pb.SimulateResponse(result=convert.result(finished.report)).SerializeToString()
