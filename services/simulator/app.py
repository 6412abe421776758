"""The one thing a simulator does: read a run's predictions and its bars, and trade them."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Protocol
from uuid import UUID

import numpy as np
import pyarrow as pa

from services.simulator import engine, tables
from services.simulator.domain import (
    Bars,
    FoldThresholds,
    History,
    Job,
    Placed,
    Predictions,
    Settings,
    Threshold,
    check_times,
    find_signals,
    place,
)
from services.simulator.report import Report, Simulated, report


@dataclass(frozen=True, kw_only=True)
class Finished:
    trades: pa.RecordBatch
    equity: pa.RecordBatch
    report: Report


class Datasets(Protocol):
    async def history(self, dataset_id: UUID, version: int, bar_index: int, rows: int) -> History:
        """The bars of `rows` indicator rows from `bar_index` on."""


class Runs(Protocol):
    async def predictions(self, run_id: UUID) -> Predictions:
        """Of every stored fold."""


class Simulator:
    def __init__(self, *, datasets: Datasets, runs: Runs, slots: int) -> None:
        self._datasets = datasets
        self._runs = runs
        self._slots = asyncio.Semaphore(slots)

    async def simulate(self, job: Job) -> Finished:
        """Waits for a free slot. The kernel runs in a thread and holds no interpreter lock."""
        async with self._slots:
            placed = place(await self._runs.predictions(job.run_id))
            history = await self._datasets.history(
                job.dataset_id, job.version, placed.first_bar_index, len(placed)
            )
            return await asyncio.to_thread(_simulate, job, placed, history)


def _simulate(job: Job, placed: Placed, history: History) -> Finished:
    bars = history.bars
    check_times(placed, bars)
    signals = find_signals(placed, job.folds, job.settings)
    outcome = engine.simulate(bars, signals, placed.last_of_fold, job.settings)
    simulated = Simulated(
        bars=bars,
        placed=placed,
        signals=signals,
        settings=job.settings,
        folds=job.folds,
        outcome=outcome,
    )
    return Finished(
        trades=tables.trades_batch(bars, placed, outcome),
        equity=tables.equity_batch(bars, placed, outcome),
        report=report(simulated, history.bars_per_year),
    )


def warm_up() -> None:
    """Has everything compiled, or loaded from numba's cache, before the first request waits."""
    fold = FoldThresholds(fold=0, by_kind={}, learned_nothing=False)
    times, prices = np.arange(2), np.ones(2)
    job = Job(
        simulation_id=UUID(int=0),
        run_id=UUID(int=0),
        dataset_id=UUID(int=0),
        version=1,
        settings=Settings(threshold=Threshold.ZERO),
        folds=[fold],
    )
    predictions = Predictions(
        bar_index=times, timestamp_ms=times, fold=np.zeros(2, dtype=np.int64), value=prices
    )
    bars = Bars(
        first_ohlcv_index=0,
        timestamp_ms=times,
        open=prices,
        high=prices,
        low=prices,
        close=prices,
        after_gap=np.zeros(2, dtype=np.bool_),
    )
    _simulate(job, place(predictions), History(bars, 1.0))
