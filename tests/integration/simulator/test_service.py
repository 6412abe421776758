"""The simulator over gRPC, on the real bars of examples/."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import numpy as np
import polars as pl
import pyarrow as pa
import pytest
from grpc import aio
from stage1.dataset.v1 import dataset_pb2
from stage1.runs.v1 import run_pb2, simulation_pb2, worker_service_pb2
from stage1.simulator.v1 import simulator_service_pb2 as pb
from stage1.simulator.v1.simulator_service_pb2_grpc import (
    SimulatorServiceStub,
    add_SimulatorServiceServicer_to_server,
)

from examples.make_indicators import BARS
from services.shared.arrow_stream import DataStreams, Decoder
from services.shared.errors import Conflict, DataLoss, InvalidRequest, NotFound, Stage1Error
from services.shared.rpc import client, status
from services.shared.rpc.server import serving
from services.shared.settings import ServerSettings
from services.simulator.__main__ import running
from services.simulator.app import Simulator
from services.simulator.clients import DatasetClient, RunClient
from services.simulator.domain import Settings
from services.simulator.servicer import SimulatorServicer
from services.simulator.settings import SimulatorSettings
from services.simulator.tables import EQUITY, TRADES
from tests.fix_rpc import served
from tests.integration.simulator.owners import Owners
from tests.unit.simulator.markets import thresholds
from tests.unit.simulator.reference import Bar, Reference

LOOKBACK, FIRST, ROWS, FOLD_ROWS = 120, 1600, 1000, 100
FOLDS = range(ROWS // FOLD_ROWS)


def real_bars() -> pa.RecordBatch:
    file = pl.read_csv(BARS)
    opened = file["Time"].str.to_datetime("%d.%m.%Y %H:%M:%S%.3f", time_zone="UTC")
    prices = [file[name].to_numpy() for name in ("Open", "High", "Low", "Close")]
    return pa.record_batch(
        [np.arange(len(file)), opened.dt.epoch("ms").to_numpy(), *prices],
        names=["index", "timestamp_ms", "open", "high", "low", "close"],
    )


def predictions_of(bars: pa.RecordBatch) -> pa.RecordBatch:
    """Noise, in ten folds, without an edge."""
    at = np.arange(FIRST, FIRST + ROWS)
    value = np.random.default_rng(7).normal(size=ROWS)
    return pa.record_batch(
        [
            bars["timestamp_ms"].to_numpy()[at + LOOKBACK],
            at,
            ((at - FIRST) // FOLD_ROWS).astype(np.int32),
            value,
        ],
        names=["timestamp_ms", "bar_index", "fold", "prediction"],
    )


@pytest.fixture
def owners() -> Owners:
    bars = real_bars()
    times = bars["timestamp_ms"].to_pylist()
    gap = LOOKBACK + FIRST + 500
    manifest = dataset_pb2.Manifest(
        lookback_rows=LOOKBACK,
        ohlcv_rows=bars.num_rows,
        first_ohlcv_timestamp_ms=times[0],
        last_ohlcv_timestamp_ms=times[-1],
        gaps=[dataset_pb2.Gap(after_ms=times[gap - 1], before_ms=times[gap], missing=1)],
    )
    made = Owners(
        manifest=manifest, bars=bars, predictions=predictions_of(bars), run_id=str(uuid4())
    )
    made.answering.set()
    return made


@dataclass(frozen=True, kw_only=True)
class Answer:
    trades: pa.Table
    equity: pa.Table
    result: simulation_pb2.SimulationResult
    heartbeats: int


def request(owners: Owners, **settings: Any) -> pb.SimulateRequest:
    pair = run_pb2.Thresholds(long_percentile=1.0, short_percentile=-1.0)
    return pb.SimulateRequest(
        simulation_id=str(uuid4()),
        run_id=owners.run_id,
        dataset_id=str(uuid4()),
        version=1,
        settings=simulation_pb2.SimulationSettings(**settings),
        folds=[pb.FoldThresholds(fold=fold, thresholds=pair) for fold in FOLDS],
    )


async def answer(simulator: aio.Channel, asked: pb.SimulateRequest) -> Answer:
    decoders = {"trades": Decoder(TRADES), "equity": Decoder(EQUITY)}
    batches: dict[str, list[pa.RecordBatch]] = {"trades": [], "equity": []}
    heartbeats = 0
    with status.refusals():
        async for response in SimulatorServiceStub(simulator).Simulate(asked):
            kind = response.WhichOneof("event")
            if kind in batches:
                batches[kind] += decoders[kind].feed(getattr(response, kind).ipc)
            elif kind == "heartbeat":
                heartbeats += 1
    for decoder in decoders.values():
        decoder.finish()
    assert kind == "result"
    return Answer(
        trades=pa.Table.from_batches(batches["trades"], TRADES),
        equity=pa.Table.from_batches(batches["equity"], EQUITY),
        result=response.result,
        heartbeats=heartbeats,
    )


@asynccontextmanager
async def simulating(owners: Owners, heartbeat_seconds: float = 5) -> AsyncIterator[aio.Channel]:
    """A channel to a simulator that reads from these owners."""
    async with served(owners.register) as channel:
        simulator = Simulator(datasets=DatasetClient(channel), runs=RunClient(channel), slots=1)
        servicer = SimulatorServicer(simulator, DataStreams(), heartbeat_seconds=heartbeat_seconds)
        async with served(lambda s: add_SimulatorServiceServicer_to_server(servicer, s)) as own:
            yield own


async def refusal(owners: Owners, asked: pb.SimulateRequest) -> Stage1Error:
    async with simulating(owners) as simulator:
        with pytest.raises(Stage1Error) as caught:
            await answer(simulator, asked)
    return caught.value


def reference_bars(owners: Owners) -> list[Bar]:
    rows = owners.bars.slice(FIRST + LOOKBACK, ROWS).to_pylist()
    gaps = {gap.before_ms for gap in owners.manifest.gaps}
    return [
        Bar(
            **{name: row[name] for name in ("open", "high", "low", "close")},
            prediction=p["prediction"],
            fold=p["fold"],
            after_gap=row["timestamp_ms"] in gaps,
        )
        for row, p in zip(rows, owners.predictions.to_pylist(), strict=True)
    ]


async def test_what_comes_over_the_wire_is_what_the_reference_trades(owners: Owners) -> None:
    asked = request(
        owners, stop_fraction=0.004, target_fraction=0.006, max_holding_bars=12, fee_bps=0.5
    )
    async with simulating(owners) as simulator:
        got = await answer(simulator, asked)
    rules = Settings(stop_fraction=0.004, target_fraction=0.006, max_holding_bars=12, fee_bps=0.5)
    folds = {fold: thresholds(fold, 1.0, -1.0) for fold in FOLDS}
    expected = Reference(reference_bars(owners), folds, rules).run()
    assert len(expected.trades) > 50
    assert got.trades["exit_reason"].to_pylist() == [t.reason for t in expected.trades]
    fills = [(t.entry + FIRST, t.exit + FIRST) for t in expected.trades]
    columns = (got.trades[f"{end}_fill_bar_index"].to_pylist() for end in ("entry", "exit"))
    assert list(zip(*columns, strict=True)) == fills
    np.testing.assert_allclose(got.trades["pnl"], [t.pnl for t in expected.trades], atol=1e-9)
    np.testing.assert_allclose(got.equity["equity"], expected.equity, rtol=1e-12)
    assert got.result.n_died_at_gap == expected.n_died_at_gap


async def test_indices_and_times_name_the_same_bars(owners: Owners) -> None:
    async with simulating(owners) as simulator:
        got = await answer(simulator, request(owners))
    times = owners.bars["timestamp_ms"].to_numpy()
    for moment in ("entry_signal", "entry_fill", "exit_signal", "exit_fill"):
        at = got.trades[f"{moment}_ohlcv_index"].to_numpy()
        np.testing.assert_array_equal(got.trades[f"{moment}_ts_ms"], times[at])
        np.testing.assert_array_equal(got.trades[f"{moment}_bar_index"], at - LOOKBACK)
    assert got.equity["bar_index"].to_pylist() == list(range(FIRST, FIRST + ROWS))


async def test_the_result_sums_up_what_was_streamed(owners: Owners) -> None:
    async with simulating(owners) as simulator:
        got = await answer(simulator, request(owners, fee_bps=1))
    result, equity = got.result, got.equity["equity"].to_numpy()
    assert (result.bars, result.all.trades) == (ROWS, got.trades.num_rows)
    assert result.all.total_return == pytest.approx(equity[-1] / 1000 - 1)
    assert result.all.max_drawdown == pytest.approx(max(got.equity["drawdown"].to_pylist()))
    assert sum(bucket.trades for bucket in result.buckets) == got.trades.num_rows
    assert result.bars_per_year == pytest.approx(6280, rel=1e-3)
    opened, closed = owners.bars["open"].to_numpy(), owners.bars["close"].to_numpy()
    held = closed[FIRST + LOOKBACK + ROWS - 1] / opened[FIRST + LOOKBACK] - 1
    assert result.buy_hold.total_return == pytest.approx(held, abs=3e-4)


async def test_a_simulation_without_trades_still_has_two_whole_streams(owners: Owners) -> None:
    own = {"threshold": simulation_pb2.SimulationSettings.THRESHOLD_OWN, "long_threshold": 99}
    async with simulating(owners) as simulator:
        got = await answer(simulator, request(owners, **own))
    assert (got.trades.num_rows, got.equity.num_rows) == (0, ROWS)
    assert list(got.result.buckets) == []


async def test_a_waiting_caller_hears_that_the_simulator_is_alive(owners: Owners) -> None:
    owners.answering.clear()
    async with simulating(owners, heartbeat_seconds=0.01) as simulator:
        call = SimulatorServiceStub(simulator).Simulate(request(owners))
        first = await anext(aiter(call))
        assert first.WhichOneof("event") == "heartbeat"
        owners.answering.set()
        kinds = [response.WhichOneof("event") async for response in call]
    assert kinds[-1] == "result"


async def test_a_cancelled_call_frees_its_slot(owners: Owners) -> None:
    owners.answering.clear()
    async with simulating(owners, heartbeat_seconds=0.01) as simulator:
        call = SimulatorServiceStub(simulator).Simulate(request(owners))
        await anext(aiter(call))
        call.cancel()
        owners.answering.set()
        assert (await answer(simulator, request(owners))).result.bars == ROWS


async def test_an_unknown_run_is_refused_with_the_reason_of_its_owner(owners: Owners) -> None:
    asked = request(owners)
    asked.run_id = str(uuid4())
    error = await refusal(owners, asked)
    assert (type(error), error.reason) == (NotFound, "RUN_NOT_FOUND")


async def test_a_run_without_predictions_is_refused(owners: Owners) -> None:
    owners.predictions = owners.predictions.slice(0, 0)
    error = await refusal(owners, request(owners))
    assert (type(error), error.reason) == (Conflict, "NO_PREDICTIONS")


async def test_predictions_of_other_bars_are_refused(owners: Owners) -> None:
    owners.manifest.lookback_rows += 1
    assert isinstance(await refusal(owners, request(owners)), DataLoss)


async def test_a_malformed_request_names_its_fields(owners: Owners) -> None:
    error = await refusal(owners, request(owners, notional=-1.0, stop_fraction=2.0))
    assert isinstance(error, InvalidRequest)
    assert [v.field for v in error.violations] == ["settings.stop_fraction", "settings.notional"]


async def test_the_process_registers_with_what_it_is_and_simulates_there(owners: Owners) -> None:
    async with serving(ServerSettings(drain_seconds=1), owners.register) as others:
        await others.ready()
        address = f"127.0.0.1:{others.port}"
        settings = SimulatorSettings(
            listen="127.0.0.1:0", dataset_address=address, runs_address=address, slots=3
        )
        async with running(settings) as server:
            worker = await owners.registered.get()
            async with client.channel(worker.address) as channel:
                answered = await answer(channel, request(owners))
    assert worker.kind == worker_service_pb2.Worker.KIND_SIMULATOR
    assert worker.address == f"127.0.0.1:{server.port}"
    assert (worker.slots, worker.device) == (3, "cpu")
    assert worker.memory_bytes > 1 << 28
    assert {"numba", "python"} <= set(worker.versions)
    assert answered.result.bars == ROWS
