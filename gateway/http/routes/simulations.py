"""Simulations of runs."""

from __future__ import annotations

from typing import Annotated, Any, Final

from fastapi import APIRouter, Query, Request, Response
from stage1.runs.v1 import simulation_pb2
from stage1.runs.v1 import simulation_service_pb2 as pb

from gateway.http import events, stream
from gateway.http.deps import IdempotencyKey, PeersDep, SimulationId
from gateway.http.lists import collect
from gateway.http.media import OneMediaType
from gateway.http.peers import Peers, asking, dataset_id_of
from gateway.http.schemas import simulations as schemas
from gateway.http.shapes import simulations as shapes
from gateway.http.shapes.trades import Trades

router = APIRouter(tags=["simulations"], route_class=OneMediaType)
_SERVICE: Final = "/stage1.runs.v1.SimulationService"
_OFFERED: Final[tuple[stream.Format, ...]] = ("json", "csv")
_TABLE: Final[dict[int | str, dict[str, Any]]] = {
    200: {
        "description": "JSON objects in a list beside `count`, or CSV.",
        "content": {
            stream.MEDIA_TYPES["json"]: {"schema": {"type": "object"}},
            stream.MEDIA_TYPES["csv"]: {"schema": {"type": "string"}},
        },
    }
}


@router.post("/api/simulations", status_code=202)
async def create_simulation(
    peers: PeersDep, response: Response, body: schemas.NewSimulation, key: IdempotencyKey = ""
) -> schemas.Simulation:
    """Queues a simulation of a run; its address is in Location."""
    with asking("runs"):
        answer = await peers.simulations.CreateSimulation(
            pb.CreateSimulationRequest(
                idempotency_key=key, run_id=body.run_id, settings=shapes.settings(body.settings)
            )
        )
    simulation = shapes.simulation(answer.simulation)
    response.headers["location"] = simulation.links["self"]
    return simulation


@router.get("/api/simulations")
async def list_simulations(
    peers: PeersDep, query: Annotated[schemas.SimulationQuery, Query()]
) -> schemas.SimulationList:
    """Simulations, newest first."""
    dataset_id = await dataset_id_of(peers, query.dataset_id)

    async def page(size: int, token: str, skip: int) -> pb.ListSimulationsResponse:
        state = f"STATE_{query.status or 'UNSPECIFIED'}"
        return await peers.simulations.ListSimulations(
            pb.ListSimulationsRequest(
                run_id=query.run_id,
                dataset_id=dataset_id,
                state=simulation_pb2.Simulation.State.Value(state),
                page_size=size,
                page_token=token,
                skip=skip,
            )
        )

    with asking("runs"):
        found, token = await collect(
            page,
            lambda answer: list(answer.simulations),
            limit=query.limit,
            page_token=query.page_token,
            offset=query.offset,
        )
    simulations = [shapes.simulation(s) for s in found]
    return schemas.SimulationList(
        simulations=simulations, count=len(simulations), next_page_token=token
    )


@router.get("/api/simulations/{simulation_id}")
async def get_simulation(peers: PeersDep, simulation_id: SimulationId) -> schemas.Simulation:
    """A simulation as it stands, beside buy & hold."""
    return shapes.simulation(await _simulation(peers, simulation_id))


@router.get("/api/simulations/{simulation_id}/trades", responses=_TABLE, response_class=Response)
@router.get(
    "/api/tradesim/runs/{simulation_id}/trades",
    responses=_TABLE,
    response_class=Response,
    deprecated=True,
    operation_id="read_tradesim_trades",
)
async def read_trades(
    peers: PeersDep,
    request: Request,
    simulation_id: SimulationId,
    query: Annotated[schemas.TableQuery, Query()],
) -> Response:
    """The trades, by entry; `*_pct` in percent."""
    channel, method = peers.channels["runs"], f"{_SERVICE}/ReadTrades"
    asked = pb.ReadTradesRequest(simulation_id=simulation_id)
    reshape = Trades(simulation_id)
    if stream.chosen(query.format, request, _OFFERED) == "json":
        return await stream.json_objects(
            channel, method, asked, before={}, rows="trades", reshape=reshape
        )
    file_name = f"trades_{simulation_id}.csv"
    return await stream.csv(channel, method, asked, reshape=reshape, file_name=file_name)


@router.get("/api/simulations/{simulation_id}/equity", responses=_TABLE, response_class=Response)
async def read_equity(
    peers: PeersDep,
    request: Request,
    simulation_id: SimulationId,
    query: Annotated[schemas.TableQuery, Query()],
) -> Response:
    """Equity by bar, marked to market at its close."""
    channel, method = peers.channels["runs"], f"{_SERVICE}/ReadEquity"
    asked = pb.ReadEquityRequest(simulation_id=simulation_id)
    if stream.chosen(query.format, request, _OFFERED) == "json":
        return await stream.json_objects(channel, method, asked, before={}, rows="equity")
    file_name = f"equity_{simulation_id}.csv"
    return await stream.csv(channel, method, asked, file_name=file_name)


@router.get("/api/simulations/{simulation_id}/events", response_class=Response)
async def watch_simulation(
    peers: PeersDep, request: Request, simulation_id: SimulationId
) -> Response:
    """Server-sent events, from Last-Event-ID on; heartbeats are comments."""
    after = events.after_sequence(request)
    simulation = await _simulation(peers, simulation_id)
    return await events.answer(
        lambda after: peers.simulations.WatchSimulation(
            pb.WatchSimulationRequest(simulation_id=simulation_id, after_sequence=after)
        ),
        after,
        status=shapes.status(simulation),
    )


@router.post("/api/simulations/{simulation_id}/cancel")
async def cancel_simulation(peers: PeersDep, simulation_id: SimulationId) -> schemas.Simulation:
    """Ends a simulation that has not ended."""
    with asking("runs"):
        answer = await peers.simulations.CancelSimulation(
            pb.CancelSimulationRequest(simulation_id=simulation_id)
        )
    return shapes.simulation(answer.simulation)


@router.delete("/api/simulations/{simulation_id}", status_code=204)
async def delete_simulation(peers: PeersDep, simulation_id: SimulationId) -> None:
    """Removes a simulation that has ended."""
    with asking("runs"):
        await peers.simulations.DeleteSimulation(
            pb.DeleteSimulationRequest(simulation_id=simulation_id)
        )


async def _simulation(peers: Peers, simulation_id: str) -> simulation_pb2.Simulation:
    with asking("runs"):
        answer = await peers.simulations.GetSimulation(
            pb.GetSimulationRequest(simulation_id=simulation_id)
        )
    return answer.simulation
