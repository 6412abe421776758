from __future__ import annotations

import asyncio
from uuid import uuid4

import pytest
from stage1.runs.v1 import run_pb2, simulation_pb2
from stage1.runs.v1 import simulation_service_pb2 as pb

from services.shared.errors import AlreadyExists, Conflict, DataLoss, InvalidRequest, NotFound
from tests.integration.runs.house import PATIENCE_SECONDS, Service, Simulation, spec, states
from tests.integration.runs.peers import (
    ScriptedSimulator,
    ScriptedTrainer,
    equity,
    simulated,
    trades,
)

Settings = simulation_pb2.SimulationSettings


@pytest.fixture(scope="module")
async def run_id(service: Service, dataset: str) -> str:
    """Of a completed run of three folds, the second of which learned nothing."""
    made = await service.create(spec(dataset, end_fold=3))
    async with service.peer(ScriptedTrainer()):
        await service.ended(made)
    return made


async def cancelled(service: Service, simulation_id: str) -> simulation_pb2.Simulation:
    request = pb.CancelSimulationRequest(simulation_id=simulation_id)
    return (await service.ask(service.simulations.CancelSimulation(request))).simulation


async def deleted(service: Service, simulation_id: str) -> None:
    request = pb.DeleteSimulationRequest(simulation_id=simulation_id)
    await service.ask(service.simulations.DeleteSimulation(request))


async def listed(service: Service, **wanted: object) -> list[str]:
    request = pb.ListSimulationsRequest(**wanted)  # type: ignore[arg-type]
    answer = await service.ask(service.simulations.ListSimulations(request))
    return [s.simulation_id for s in answer.simulations]


async def test_a_simulation_is_computed_and_read_back(service: Service, run_id: str) -> None:
    peer = ScriptedSimulator()
    simulation_id = await service.simulate(run_id, stop_fraction=0.03, mode=Settings.MODE_LONG)
    async with service.peer(peer):
        events = await service.simulation_events(simulation_id)
    assert states(events) == ["QUEUED", "RUNNING", "COMPLETED"]
    assert [e.sequence for e in events if e.sequence] == [1, 2, 3]
    made = await service.simulation(simulation_id)
    assert (made.state, made.run_id, made.attempt) == (Simulation.STATE_COMPLETED, run_id, 1)
    assert made.result == simulated()
    request = pb.ReadTradesRequest(simulation_id=simulation_id)
    read = await service.read("SimulationService/ReadTrades", request)
    assert read.to_pylist() == trades().to_pylist()
    curve = await service.read(
        "SimulationService/ReadEquity", pb.ReadEquityRequest(simulation_id=simulation_id)
    )
    assert curve.to_pylist() == equity().to_pylist()


async def test_a_simulator_is_told_settings_with_defaults_and_the_folds_thresholds(
    service: Service, run_id: str
) -> None:
    peer = ScriptedSimulator()
    simulation_id = await service.simulate(run_id, exit_strength=0.5)
    async with service.peer(peer):
        made = await service.simulation_ended(simulation_id)
    asked = peer.asked[0]
    assert (asked.run_id, asked.version) == (run_id, 1)
    assert asked.settings == made.settings
    assert asked.settings.mode == Settings.MODE_DUAL
    assert asked.settings.threshold == Settings.THRESHOLD_PERCENTILE
    assert (asked.settings.notional, asked.settings.honor_signal_reversal) == (1000.0, True)
    assert asked.settings.exit_strength == 0.5
    assert not asked.settings.HasField("stop_fraction")
    assert [f.fold for f in asked.folds] == [0, 1, 2]
    assert [f.learned_nothing for f in asked.folds] == [False, True, False]
    assert asked.folds[0].thresholds.long_percentile == 0.5
    assert not asked.folds[0].thresholds.HasField("long_optimal")


async def test_everything_wrong_with_settings_is_told_at_once(
    service: Service, run_id: str
) -> None:
    with pytest.raises(InvalidRequest) as caught:
        await service.simulate(
            run_id,
            threshold=Settings.THRESHOLD_ZERO,
            long_threshold=0.1,
            stop_fraction=1.0,
            target_fraction=0.0,
            max_holding_bars=0,
            fee_bps=1001,
            slippage_bps=float("nan"),
            notional=0,
            exit_strength=1.5,
            cooldown_bars=-1,
        )
    assert {v.field for v in caught.value.violations} == {
        f"settings.{name}"
        for name in (
            *("long_threshold", "stop_fraction", "target_fraction", "max_holding_bars", "fee_bps"),
            *("slippage_bps", "notional", "exit_strength", "cooldown_bars"),
        )
    }


@pytest.mark.parametrize(
    ("settings", "field"),
    [
        ({"threshold": Settings.THRESHOLD_OWN}, "settings.threshold"),
        ({"trailing_stop": True}, "settings.trailing_stop"),
    ],
)
async def test_settings_that_need_another_are_refused_without_it(
    service: Service, run_id: str, settings: dict[str, object], field: str
) -> None:
    with pytest.raises(InvalidRequest) as caught:
        await service.simulate(run_id, **settings)
    assert [v.field for v in caught.value.violations] == [field]


async def test_only_a_run_that_ended_with_folds_is_simulated(
    service: Service, dataset: str
) -> None:
    queued = await service.create(spec(dataset))
    with pytest.raises(Conflict) as caught:
        await service.simulate(queued)
    assert caught.value.reason == "RUN_NOT_FINISHED"
    await service.cancel(queued)
    with pytest.raises(Conflict) as caught:
        await service.simulate(queued)
    assert caught.value.reason == "RUN_WITHOUT_FOLDS"
    with pytest.raises(NotFound):
        await service.simulate(str(uuid4()))


async def test_a_key_creates_one_simulation(service: Service, run_id: str) -> None:
    request = pb.CreateSimulationRequest(idempotency_key=uuid4().hex, run_id=run_id)
    made = await asyncio.gather(
        *(service.ask(service.simulations.CreateSimulation(request)) for _ in range(3))
    )
    [simulation_id] = {answer.simulation.simulation_id for answer in made}
    request.settings.fee_bps = 5
    with pytest.raises(AlreadyExists):
        await service.ask(service.simulations.CreateSimulation(request))
    await cancelled(service, simulation_id)


async def test_a_key_whose_simulation_was_deleted_says_so(service: Service, run_id: str) -> None:
    request = pb.CreateSimulationRequest(idempotency_key=uuid4().hex, run_id=run_id)
    made = await service.ask(service.simulations.CreateSimulation(request))
    await cancelled(service, made.simulation.simulation_id)
    await deleted(service, made.simulation.simulation_id)
    with pytest.raises(Conflict) as caught:
        await service.ask(service.simulations.CreateSimulation(request))
    assert caught.value.reason == "IDEMPOTENCY_KEY_SPENT"


async def test_a_cancelled_simulation_stops_its_simulator_and_leaves_no_rows(
    service: Service, run_id: str
) -> None:
    reached = asyncio.Event()

    async def for_ever(attempt: int) -> None:
        reached.set()
        await asyncio.Event().wait()

    peer = ScriptedSimulator(step=for_ever)
    simulation_id = await service.simulate(run_id)
    async with service.peer(peer), asyncio.timeout(PATIENCE_SECONDS):
        await reached.wait()
        made = await cancelled(service, simulation_id)
        await peer.cancelled.wait()
    assert made.state == Simulation.STATE_CANCELLED
    assert await cancelled(service, simulation_id) == made
    with pytest.raises(Conflict) as caught:
        await service.read(
            "SimulationService/ReadTrades", pb.ReadTradesRequest(simulation_id=simulation_id)
        )
    assert caught.value.reason == "SIMULATION_NOT_COMPLETED"


async def test_each_attempt_has_tables_of_its_own(service: Service, run_id: str) -> None:
    async def fail_first(attempt: int) -> None:
        if attempt == 1:
            raise DataLoss("A cosmic ray.")

    simulation_id = await service.simulate(run_id)
    async with service.peer(ScriptedSimulator(step=fail_first)):
        made = await service.simulation_ended(simulation_id)
    assert (made.state, made.attempt) == (Simulation.STATE_COMPLETED, 2)
    own = {t for t in service.tables() if simulation_id.replace("-", "") in t}
    assert {t.rpartition("_sim_")[2][33:] for t in own} >= {"trades_a2", "equity_a2"}
    request = pb.ReadTradesRequest(simulation_id=simulation_id)
    assert (await service.read("SimulationService/ReadTrades", request)).num_rows == 3


async def test_three_lost_attempts_fail_a_simulation(service: Service, run_id: str) -> None:
    async def fail(attempt: int) -> None:
        raise DataLoss("A cosmic ray.")

    peer = ScriptedSimulator(step=fail)
    simulation_id = await service.simulate(run_id)
    async with service.peer(peer):
        made = await service.simulation_ended(simulation_id)
    assert (made.state, len(peer.asked)) == (Simulation.STATE_FAILED, 3)
    assert "A cosmic ray" in made.error


async def test_what_a_simulator_refuses_fails_at_once(service: Service, run_id: str) -> None:
    async def refuse(attempt: int) -> None:
        raise Conflict("The bars have no close.")

    peer = ScriptedSimulator(step=refuse)
    simulation_id = await service.simulate(run_id)
    async with service.peer(peer):
        made = await service.simulation_ended(simulation_id)
    assert (made.state, made.error) == (Simulation.STATE_FAILED, "The bars have no close.")
    with pytest.raises(Conflict) as caught:
        await cancelled(service, simulation_id)
    assert caught.value.reason == "SIMULATION_FINISHED"


async def test_a_deleted_simulation_is_gone_with_its_tables(service: Service, run_id: str) -> None:
    simulation_id = await service.simulate(run_id)
    with pytest.raises(Conflict) as caught:
        await deleted(service, simulation_id)
    assert caught.value.reason == "SIMULATION_NOT_FINISHED"
    async with service.peer(ScriptedSimulator()):
        await service.simulation_ended(simulation_id)
    await deleted(service, simulation_id)
    assert not [t for t in service.tables() if simulation_id.replace("-", "") in t]
    with pytest.raises(NotFound):
        await service.simulation(simulation_id)


async def test_simulations_are_listed_by_run_and_in_pages(service: Service, dataset: str) -> None:
    own_run = await service.create(spec(dataset, end_fold=1))
    async with service.peer(ScriptedTrainer()):
        run = await service.ended(own_run)
    made = [await service.simulate(own_run, fee_bps=float(n)) for n in range(3)]
    assert await listed(service, run_id=own_run) == made[::-1]
    assert set(await listed(service, dataset_id=run.plan.dataset_id)) >= set(made)
    request = pb.ListSimulationsRequest(run_id=own_run, page_size=2)
    first = await service.ask(service.simulations.ListSimulations(request))
    rest = await listed(service, run_id=own_run, page_token=first.next_page_token)
    assert [*(s.simulation_id for s in first.simulations), *rest] == made[::-1]
    await cancelled(service, made[0])
    state = Simulation.STATE_CANCELLED
    assert await listed(service, run_id=own_run, state=state) == [made[0]]
    await service.delete(own_run)
    assert await listed(service, run_id=own_run) == []
    with pytest.raises(NotFound):
        await service.simulation(made[1])


def test_runs_and_simulations_number_their_states_alike() -> None:
    ours, theirs = (
        {name: int(number) for name, number in kind.State.items()}
        for kind in (run_pb2.Run, simulation_pb2.Simulation)
    )
    assert ours == theirs
