"""Bars, predictions and settings for the tests, in the reference's form and in the kernel's."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from hypothesis import strategies as st

from services.simulator import engine
from services.simulator.domain import (
    NO_FOLD,
    Bars,
    FoldThresholds,
    Intrabar,
    Mode,
    Placed,
    Settings,
    Threshold,
    find_signals,
)
from tests.unit.simulator.reference import Bar

BPS = st.sampled_from([0.0, 5.0, 100.0])
LEVELS = st.sampled_from([None, -1.0, 0.0, 0.5, 1.0])


def thresholds(
    fold: int,
    long: float | None,
    short: float | None,
    *,
    learned_nothing: bool = False,
    is_constant: bool = False,
) -> FoldThresholds:
    pair = (long, short)
    return FoldThresholds(
        fold=fold,
        by_kind={Threshold.PERCENTILE: pair, Threshold.OPTIMAL: (short, long)},
        learned_nothing=learned_nothing,
        is_constant=is_constant,
    )


@st.composite
def markets(draw: st.DrawFn) -> list[Bar]:
    """Walks on a coarse grid, since ties between prices and levels are where rules go wrong.

    The walk comes from a seed: bars drawn one by one are few and hardly ever trade.
    """
    size, step = draw(st.integers(1, 120)), draw(st.integers(1, 4))
    fold_size, gaps = draw(st.sampled_from([7, 20, 200])), draw(st.sampled_from([0.0, 0.2]))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    bars, price = [], 100.0
    for t in range(size):
        prices = np.clip(price + rng.integers(-step, step + 1, size=4), 50, 150)
        low, a, b, high = map(float, sorted(prices))
        open_, price = (a, b) if rng.random() < 0.5 else (b, a)
        known = rng.random() < 0.9
        fold = t // fold_size % 4  # the fourth is a hole: bars without predictions
        bars.append(
            Bar(
                open=open_,
                high=high,
                low=low,
                close=price,
                prediction=float(rng.integers(-4, 5) / 2) if known and fold < 3 else None,
                fold=fold if known and fold < 3 else None,
                after_gap=bool(rng.random() < gaps),
            )
        )
    return bars


def fold_thresholds() -> st.SearchStrategy[dict[int, FoldThresholds]]:
    def one(fold: int) -> st.SearchStrategy[FoldThresholds]:
        return st.builds(
            thresholds,
            *(st.just(fold), LEVELS, LEVELS),
            learned_nothing=st.integers(0, 4).map(bool),
            is_constant=st.integers(0, 9).map(lambda n: n == 9),
        )

    return st.fixed_dictionaries({fold: one(fold) for fold in range(3)})


def all_settings() -> st.SearchStrategy[Settings]:
    return st.builds(
        Settings,
        mode=st.sampled_from(Mode),
        threshold=st.sampled_from(Threshold),
        long_threshold=LEVELS,
        short_threshold=LEVELS,
        honor_signal_reversal=st.booleans(),
        exit_strength=st.sampled_from([None, None, 0.0, 0.5, 1.0]),
        stop_fraction=st.sampled_from([None, None, 0.01, 0.03, 0.1]),
        trailing_stop=st.booleans(),
        target_fraction=st.sampled_from([None, None, 0.01, 0.05]),
        max_holding_bars=st.sampled_from([None, None, 1, 2, 5]),
        cooldown_bars=st.sampled_from([0, 1, 3]),
        intrabar=st.sampled_from(Intrabar),
        flat_between_folds=st.booleans(),
        fee_bps=BPS,
        slippage_bps=st.sampled_from([0.0, 5.0, 200.0]),
        notional=st.sampled_from([100.0, 1000.0]),
        signals_when_learned_nothing=st.booleans(),
    )


def as_arrays(bars: Sequence[Bar]) -> tuple[Bars, Placed]:
    def column(name: str) -> Any:
        return np.array([getattr(bar, name) for bar in bars], dtype=np.float64)

    time = np.arange(len(bars)) * 3_600_000
    prices = {name: column(name) for name in ("open", "high", "low", "close")}
    after_gap = np.array([bar.after_gap for bar in bars])
    return (
        Bars(first_ohlcv_index=20, timestamp_ms=time, after_gap=after_gap, **prices),
        Placed(
            first_bar_index=10,
            timestamp_ms=time,
            value=column("prediction"),
            fold=np.array([NO_FOLD if bar.fold is None else bar.fold for bar in bars]),
            n_overlapping=0,
        ),
    )


def run_kernel(
    bars: Sequence[Bar], folds: dict[int, FoldThresholds], settings: Settings
) -> tuple[engine.Outcome, int]:
    """What the kernel makes of it, and the number of conflicting rows."""
    arrays, placed = as_arrays(bars)
    signals = find_signals(placed, list(folds.values()), settings)
    outcome = engine.simulate(arrays, signals, placed.last_of_fold, settings)
    return outcome, signals.n_conflicting
