"""One million bars through the simulator's kernel and through vectorbt, in the same run.

    .venv-bench/bin/python -m tests.benchmarks.simulation

Both trade the same signals at the next open, reverse on an opposite one, and pay 5 bps a
side; no stops, since vectorbt does not test the entry bar. Every trade is compared. Rounds
are interleaved, since repeats on one machine differ more than the figures of one round.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

from services.shared.malloc import MALLOC_ENVIRONMENT
from services.simulator import engine, tables
from services.simulator.domain import (
    Bars,
    FoldThresholds,
    Placed,
    Settings,
    Threshold,
    find_signals,
)
from services.simulator.metrics import Curve, drawdown, performance
from services.simulator.report import Simulated, report

BARS: Final = 1_000_000
ROUNDS: Final = 15
THRESHOLD: Final = 2.5
NOTIONAL: Final = 1000.0
FEE_BPS: Final = 5.0
PER_YEAR: Final = 6281.0
FOLDS: Final = [
    FoldThresholds(
        fold=0, by_kind={Threshold.PERCENTILE: (THRESHOLD, -THRESHOLD)}, learned_nothing=False
    )
]
SETTINGS: Final = Settings(fee_bps=FEE_BPS, notional=NOTIONAL)


@dataclass
class Timed:
    """One way to do it, and how long its rounds took."""

    name: str
    work: Callable[[], Any]
    milliseconds: list[float] = field(default_factory=list)

    def round(self) -> Any:
        start = time.perf_counter()
        result = self.work()
        self.milliseconds.append(1000 * (time.perf_counter() - start))
        return result

    @property
    def median(self) -> float:
        return statistics.median(self.milliseconds)

    def row(self, peer: Timed) -> str:
        low, high = min(self.milliseconds), max(self.milliseconds)
        speed = BARS / self.median / 1000
        ratio = peer.median / self.median
        figures = f"{self.median:8.1f} {low:8.1f} - {high:<8.1f} {speed:7.1f} {ratio:7.1f}"
        return f"{self.name:<58} {figures}"


def market() -> tuple[Bars, Placed]:
    rng = np.random.default_rng(11)
    close = 100 * np.exp(np.cumsum(rng.normal(0, 5e-4, BARS)))
    open_ = np.concatenate([[100.0], close[:-1]]) * np.exp(rng.normal(0, 1e-4, BARS))
    reach = np.exp(np.abs(rng.normal(0, 3e-4, BARS)))
    times = np.arange(BARS) * 3_600_000
    bars = Bars(
        first_ohlcv_index=0,
        timestamp_ms=times,
        open=open_,
        high=np.maximum(open_, close) * reach,
        low=np.minimum(open_, close) / reach,
        close=close,
        after_gap=np.zeros(BARS, dtype=np.bool_),
    )
    placed = Placed(
        first_bar_index=0,
        timestamp_ms=times,
        value=rng.normal(size=BARS),
        fold=np.zeros(BARS, dtype=np.int64),
        n_overlapping=0,
    )
    return bars, placed


def stage1_kernel(bars: Bars, placed: Placed) -> Callable[[], tuple[engine.Outcome, Any]]:
    """Trades, equity, drawdown and every metric of all trades."""
    signals = find_signals(placed, FOLDS, SETTINGS)
    last_of_fold = placed.last_of_fold

    def work() -> tuple[engine.Outcome, Any]:
        outcome = engine.simulate(bars, signals, last_of_fold, SETTINGS)
        equity = outcome.equity
        drawdown(equity, NOTIONAL)
        curve = Curve(
            equity=equity,
            held=outcome.position != 0,
            trades=outcome.trades,
            notional=NOTIONAL,
            bars_per_year=PER_YEAR,
        )
        return outcome, performance(curve)

    return work


def stage1_whole(bars: Bars, placed: Placed) -> Callable[[], Any]:
    """What a request costs: signals, kernel, Arrow tables, metrics of four curves, buckets."""

    def work() -> Any:
        signals = find_signals(placed, FOLDS, SETTINGS)
        outcome = engine.simulate(bars, signals, placed.last_of_fold, SETTINGS)
        simulated = Simulated(
            bars=bars,
            placed=placed,
            signals=signals,
            settings=SETTINGS,
            folds=FOLDS,
            outcome=outcome,
        )
        trades = tables.trades_batch(bars, placed, outcome)
        equity = tables.equity_batch(bars, placed, outcome)
        return trades, equity, report(simulated, PER_YEAR)

    return work


def vectorbt_signals(bars: Bars, placed: Placed) -> Callable[[], tuple[Any, ...]]:
    """Trades, equity and three metrics, from signals shifted to the bar that fills them."""
    # It divides by zero at import and in flat stretches.
    warnings.simplefilter("ignore")
    import vectorbt

    side = find_signals(placed, FOLDS, SETTINGS).side
    long, short = (np.concatenate([[False], (side == s)[:-1]]) for s in (1, -1))

    def work() -> tuple[Any, ...]:
        portfolio = vectorbt.Portfolio.from_signals(
            bars.close,
            entries=long,
            short_entries=short,
            price=bars.open,
            size=NOTIONAL / bars.open,
            size_type="amount",
            upon_opposite_entry="reverse",
            fees=FEE_BPS / 10_000,
            init_cash=1e9,
            freq="1h",
        )
        trades, equity = portfolio.trades.records, portfolio.value()
        figures = portfolio.total_return(), portfolio.sharpe_ratio(), portfolio.max_drawdown()
        return trades, equity, figures

    return work


def compare(outcome: engine.Outcome, trades: Any) -> str:
    """One to one. The last trade is still open in vectorbt, which charges it no exit fee."""
    ours = outcome.trades
    if len(ours) != len(trades):
        sys.exit(f"Stage1 made {len(ours)} trades and vectorbt {len(trades)}.")
    direction = np.where(trades["direction"] == 0, 1, -1)
    same = (
        (ours["side"] == direction)
        & (ours["entry"] == trades["entry_idx"])
        & (ours["exit"] == trades["exit_idx"])
    )
    if not same.all():
        sys.exit(f"Trade {int(np.argmin(same))} differs in its side or its bars.")
    off = 0.0
    for name in ("entry_price", "exit_price", "pnl"):
        mine, theirs = ours[name][:-1], trades[name].to_numpy()[:-1]
        off = max(off, float(np.max(np.abs(mine - theirs) / np.maximum(np.abs(theirs), 1))))
    if off > 1e-9:
        sys.exit(f"Prices or profits differ by up to {off:.1e}.")
    return f"{len(ours)} trades agree one to one, prices and profits within {off:.0e}."


def run(rounds: int) -> None:
    bars, placed = market()
    peer = Timed("vectorbt from_signals: trades, equity, 3 metrics", vectorbt_signals(bars, placed))
    kernel = Timed("Stage1: trades, equity, drawdown, all metrics", stage1_kernel(bars, placed))
    whole = Timed("Stage1: signals, tables, metrics of 4 curves", stage1_whole(bars, placed))
    for each in (peer, kernel, whole):  # compiles, and touches the memory
        each.work()
    for _ in range(rounds):
        trades = peer.round()[0]
        outcome = kernel.round()[0]
        whole.round()
    lines = [
        f"Simulation of {BARS:,} bars, {FEE_BPS:g} bps a side, {rounds} interleaved rounds",
        f"{'':<58} {'median':>8} {'range, ms':^19} {'Mbar/s':>7} {'ratio':>7}",
        *(each.row(peer) for each in (peer, kernel, whole)),
        compare(outcome, trades),
    ]
    sys.stdout.write("\n".join(lines) + "\n")


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="The simulation kernel against vectorbt")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    rounds = parser.parse_args(arguments).rounds
    if MALLOC_ENVIRONMENT.items() <= os.environ.items():
        run(rounds)
    else:  # the allocator reads its settings when a process starts; the services run with them
        command = [sys.executable, "-m", __spec__.name, "--rounds", str(rounds)]
        subprocess.run(command, env={**os.environ, **MALLOC_ENVIRONMENT}, check=True)


if __name__ == "__main__":
    main()
