"""The simulator between the real runs and dataset services: queued, computed, stored, read back."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import numpy as np
import pytest
from pydantic import SecretStr
from stage1.runs.v1 import simulation_service_pb2 as pb
from stage1.runs.v1.run_service_pb2_grpc import RunServiceStub
from stage1.runs.v1.simulation_pb2 import Simulation
from stage1.runs.v1.simulation_service_pb2_grpc import SimulationServiceStub
from stage1.runs.v1.worker_service_pb2_grpc import WorkerServiceStub

from services.runs.__main__ import running as runs_running
from services.runs.settings import RunsSettings
from services.shared.rpc import client
from services.simulator.__main__ import running
from services.simulator.settings import SimulatorSettings
from tests.integration.runs.house import LOOKBACK, Service, dataset_service, published, spec
from tests.integration.runs.peers import ScriptedTrainer


@asynccontextmanager
async def house(dsn: str, data_dir: Path) -> AsyncIterator[tuple[Service, str]]:
    """Dataset, runs and a simulator that has found them; and a dataset in it."""
    async with dataset_service(dsn, data_dir) as (dataset, dataset_port):
        dataset_id = await published(dataset, "bars")
        at = f"127.0.0.1:{dataset_port}"
        runs = RunsSettings(
            listen="127.0.0.1:0",
            dataset_address=at,
            postgres_dsn=SecretStr(dsn),
            data_dir=data_dir,
            drain_seconds=1,
        )
        async with runs_running(runs) as server:
            address = f"127.0.0.1:{server.port}"
            simulator = SimulatorSettings(
                listen="127.0.0.1:0", dataset_address=at, runs_address=address, drain_seconds=1
            )
            async with running(simulator), client.channel(address) as channel:
                yield (
                    Service(
                        runs=RunServiceStub(channel),
                        simulations=SimulationServiceStub(channel),
                        workers=WorkerServiceStub(channel),
                        channel=channel,
                        data_dir=data_dir,
                        dsn=dsn,
                    ),
                    dataset_id,
                )


async def test_a_queued_simulation_is_computed_stored_and_read_back(
    dsn: str, tmp_path: Path
) -> None:
    async with house(dsn, tmp_path) as (service, dataset_id):
        async with service.peer(ScriptedTrainer()):
            run_id = await service.create(spec(dataset_id))
            await service.ended(run_id)
        simulation_id = await service.simulate(run_id, fee_bps=1.0, max_holding_bars=10)
        done = await service.simulation_ended(simulation_id)
        assert (done.state, done.error) == (Simulation.STATE_COMPLETED, "")
        predictions = await service.predictions(run_id)
        asked = pb.ReadTradesRequest(simulation_id=simulation_id)
        trades = await service.read("SimulationService/ReadTrades", asked)
        equity = await service.read(
            "SimulationService/ReadEquity", pb.ReadEquityRequest(simulation_id=simulation_id)
        )
    result = done.result
    assert result.all.trades == trades.num_rows > 20
    assert equity["bar_index"].to_pylist() == predictions["bar_index"].to_pylist()
    assert equity["timestamp_ms"].to_pylist() == predictions["timestamp_ms"].to_pylist()
    held = trades["entry_fill_ohlcv_index"].to_numpy() - trades["entry_fill_bar_index"].to_numpy()
    np.testing.assert_array_equal(held, LOOKBACK)
    earned = sum(trades["pnl"].to_pylist())
    assert result.all.total_return == pytest.approx(earned / 1000)
    assert 1 not in trades["fold"].to_pylist(), "fold 1 learned nothing"
    assert "1 of 20 folds learned nothing and gave no signals." in result.warnings
