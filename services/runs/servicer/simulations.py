"""SimulationService: read the request, one call, write the answer."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Protocol
from uuid import UUID

from stage1.runs.v1 import simulation_service_pb2 as pb
from stage1.runs.v1.simulation_service_pb2_grpc import SimulationServiceServicer

from services.runs.app.simulations import Simulations
from services.runs.app.watch import Watches, simulation_state
from services.runs.convert import runs as convert_runs
from services.runs.convert import simulations as convert
from services.runs.convert.checks import fitting, only_uuid, page_token
from services.shared.arrow_stream import DataStreams, encode
from services.shared.rpc.guards import Context, writes


class SimulationServicer(SimulationServiceServicer):
    def __init__(self, *, simulations: Simulations, watches: Watches, streams: DataStreams) -> None:
        self._simulations = simulations
        self._watches = watches
        self._streams = streams

    async def CreateSimulation(
        self, request: pb.CreateSimulationRequest, context: Context
    ) -> pb.CreateSimulationResponse:
        run_id, settings, once = convert.creation(request)
        simulation = await self._simulations.create(run_id, settings, once=once)
        return pb.CreateSimulationResponse(simulation=convert.simulation(simulation))

    async def GetSimulation(
        self, request: pb.GetSimulationRequest, context: Context
    ) -> pb.GetSimulationResponse:
        simulation = await self._simulations.get(_id(request))
        return pb.GetSimulationResponse(simulation=convert.simulation(simulation))

    async def ListSimulations(
        self, request: pb.ListSimulationsRequest, context: Context
    ) -> pb.ListSimulationsResponse:
        wanted, page = convert.listing(request)
        found = await self._simulations.find(wanted, page)
        keys = [(s.progression.created_at_ms, s.simulation_id) for s in found]
        simulations = fitting(map(convert.simulation, found))
        token = page_token(page, keys, len(simulations))
        return pb.ListSimulationsResponse(simulations=simulations, next_page_token=token)

    async def CancelSimulation(
        self, request: pb.CancelSimulationRequest, context: Context
    ) -> pb.CancelSimulationResponse:
        simulation = await self._simulations.cancel(_id(request))
        return pb.CancelSimulationResponse(simulation=convert.simulation(simulation))

    async def DeleteSimulation(
        self, request: pb.DeleteSimulationRequest, context: Context
    ) -> pb.DeleteSimulationResponse:
        await self._simulations.delete(_id(request))
        return pb.DeleteSimulationResponse()

    async def WatchSimulation(
        self, request: pb.WatchSimulationRequest, context: Context
    ) -> AsyncIterator[pb.WatchSimulationResponse]:
        events = self._watches.follow(_id(request), request.after_sequence, simulation_state)
        async with aclosing(events):
            async for event in events:
                yield pb.WatchSimulationResponse(event=convert_runs.event(event))

    @writes
    async def ReadTrades(self, request: pb.ReadTradesRequest, context: Context) -> None:
        schema, pieces = await self._simulations.rows(_id(request), "trades")
        await self._streams.send(context, encode(schema, pieces))

    @writes
    async def ReadEquity(self, request: pb.ReadEquityRequest, context: Context) -> None:
        schema, pieces = await self._simulations.rows(_id(request), "equity")
        await self._streams.send(context, encode(schema, pieces))


class _Named(Protocol):
    @property
    def simulation_id(self) -> str: ...


def _id(request: _Named) -> UUID:
    return only_uuid("simulation_id", request.simulation_id)
