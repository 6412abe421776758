"""RunService: read the request, one call, write the answer."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import aclosing

from stage1.runs.v1 import run_service_pb2 as pb
from stage1.runs.v1.run_service_pb2_grpc import RunServiceServicer

from services.runs.app.runs import Runs
from services.runs.app.watch import Watches, run_state
from services.runs.convert import runs as convert
from services.runs.convert import specs
from services.runs.convert.checks import fitting, only_uuid, page_token
from services.shared.arrow_stream import DataStreams, encode
from services.shared.rpc.guards import Context, writes


class RunServicer(RunServiceServicer):
    def __init__(self, *, runs: Runs, watches: Watches, streams: DataStreams) -> None:
        self._runs = runs
        self._watches = watches
        self._streams = streams

    async def PlanRun(self, request: pb.PlanRunRequest, context: Context) -> pb.PlanRunResponse:
        plan = await self._runs.plan(convert.planned_spec(request))
        return pb.PlanRunResponse(plan=specs.plan(plan))

    async def CreateRun(
        self, request: pb.CreateRunRequest, context: Context
    ) -> pb.CreateRunResponse:
        spec, name, once = convert.creation(request)
        run = await self._runs.create(spec, name=name, once=once)
        return pb.CreateRunResponse(run=convert.run(run), plan=specs.plan(run.plan))

    async def GetRun(self, request: pb.GetRunRequest, context: Context) -> pb.GetRunResponse:
        run = await self._runs.get(only_uuid("run_id", request.run_id))
        return pb.GetRunResponse(run=convert.run(run))

    async def ListRuns(self, request: pb.ListRunsRequest, context: Context) -> pb.ListRunsResponse:
        wanted, page = convert.listing(request)
        found = await self._runs.find(wanted, page)
        keys = [(run.progression.created_at_ms, run.run_id) for run in found]
        runs = fitting(map(convert.run, found))
        return pb.ListRunsResponse(runs=runs, next_page_token=page_token(page, keys, len(runs)))

    async def CountUses(
        self, request: pb.CountUsesRequest, context: Context
    ) -> pb.CountUsesResponse:
        runs, simulations = await self._runs.uses(only_uuid("dataset_id", request.dataset_id))
        return pb.CountUsesResponse(runs=runs, simulations=simulations)

    async def ListFolds(
        self, request: pb.ListFoldsRequest, context: Context
    ) -> pb.ListFoldsResponse:
        start, size = convert.folds_page(request)
        run_id = only_uuid("run_id", request.run_id)
        return convert.folds_answer(await self._runs.folds(run_id, start=start, limit=size), size)

    async def CancelRun(
        self, request: pb.CancelRunRequest, context: Context
    ) -> pb.CancelRunResponse:
        run = await self._runs.cancel(only_uuid("run_id", request.run_id))
        return pb.CancelRunResponse(run=convert.run(run))

    async def DeleteRun(
        self, request: pb.DeleteRunRequest, context: Context
    ) -> pb.DeleteRunResponse:
        await self._runs.delete(only_uuid("run_id", request.run_id))
        return pb.DeleteRunResponse()

    async def WatchRun(
        self, request: pb.WatchRunRequest, context: Context
    ) -> AsyncIterator[pb.WatchRunResponse]:
        run_id = only_uuid("run_id", request.run_id)
        events = self._watches.follow(run_id, request.after_sequence, run_state)
        async with aclosing(events):
            async for event in events:
                yield pb.WatchRunResponse(event=convert.event(event))

    @writes
    async def ReadPredictions(self, request: pb.ReadPredictionsRequest, context: Context) -> None:
        wanted = convert.wanted_predictions(request)
        run_id = only_uuid("run_id", request.run_id)
        schema, batches = await self._runs.predictions(run_id, wanted)
        await self._streams.send(context, encode(schema, batches))
