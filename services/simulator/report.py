"""From a finished simulation to what is told of it: figures for every side, and warnings."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from services.simulator.domain import (
    NO_FOLD,
    Bars,
    ExitReason,
    Flags,
    Floats,
    FoldThresholds,
    Placed,
    Settings,
    Signals,
    Threshold,
)
from services.simulator.engine import TRADE, Outcome
from services.simulator.metrics import Bucket, Curve, Performance, bucket, is_insolvent, performance

LONG, SHORT = 1, -1


@dataclass(frozen=True, kw_only=True)
class Report:
    all: Performance
    long_only: Performance
    short_only: Performance
    buy_hold: Performance
    buckets: tuple[Bucket, ...]  # of the sides that traded
    bars: int
    first_ts_ms: int
    last_ts_ms: int
    n_conflicting: int
    n_unfilled: int
    n_died_at_gap: int
    insolvent: bool
    bars_per_year: float
    warnings: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Simulated:
    """Everything one simulation went from and came to."""

    bars: Bars
    placed: Placed
    signals: Signals
    settings: Settings
    folds: Sequence[FoldThresholds]
    outcome: Outcome


def report(s: Simulated, bars_per_year: float) -> Report:
    outcome, notional = s.outcome, s.settings.notional

    def judge(profit: Floats, held: Flags, traded: Flags) -> Performance:
        return performance(
            Curve(
                equity=notional + profit,
                held=held,
                trades=outcome.trades[traded],
                notional=notional,
                bars_per_year=bars_per_year,
            )
        )

    position, side = outcome.position, outcome.trades["side"]
    both = outcome.profit_long + outcome.profit_short
    return Report(
        all=judge(both, position != 0, side != 0),
        long_only=judge(outcome.profit_long, position == LONG, side == LONG),
        short_only=judge(outcome.profit_short, position == SHORT, side == SHORT),
        buy_hold=performance(buy_and_hold(s.bars, s.settings, bars_per_year)),
        buckets=tuple(_buckets(outcome)),
        bars=len(s.bars),
        first_ts_ms=int(s.bars.timestamp_ms[0]),
        last_ts_ms=int(s.bars.timestamp_ms[-1]),
        n_conflicting=s.signals.n_conflicting,
        n_unfilled=outcome.n_unfilled,
        n_died_at_gap=outcome.n_died_at_gap,
        insolvent=is_insolvent(outcome.equity),
        bars_per_year=bars_per_year,
        warnings=tuple(warnings(s)),
    )


def buy_and_hold(bars: Bars, settings: Settings, bars_per_year: float) -> Curve:
    """The notional, bought at the first open and sold at the last close, at the same costs."""
    fee, slippage = settings.fee_bps / 10_000, settings.slippage_bps / 10_000
    entry, exit_ = bars.open[0] * (1 + slippage), bars.close[-1] * (1 - slippage)
    quantity = settings.notional / entry
    fees = settings.notional * fee, quantity * exit_ * fee
    equity = settings.notional + quantity * (bars.close - entry) - fees[0]
    equity[-1] = settings.notional + quantity * (exit_ - entry) - sum(fees)
    trade = np.zeros(1, dtype=TRADE)
    trade["side"], trade["reason"], trade["exit"] = LONG, ExitReason.END_OF_DATA, len(bars) - 1
    trade["entry_price"], trade["exit_price"], trade["quantity"] = entry, exit_, quantity
    trade["fees"], trade["pnl"] = sum(fees), quantity * (exit_ - entry) - sum(fees)
    return Curve(
        equity=equity,
        held=np.ones(len(bars), dtype=np.bool_),
        trades=trade,
        notional=settings.notional,
        bars_per_year=bars_per_year,
    )


def warnings(s: Simulated) -> Iterator[str]:
    """What a reader of the figures should know, one sentence each."""
    if s.settings.fee_bps == 0 and s.settings.slippage_bps == 0:
        yield "Fees and slippage are 0 bps: real trades cost more."
    if s.placed.n_overlapping:
        yield (
            f"{s.placed.n_overlapping} predictions of overlapping tests were left out: "
            "the earliest fold's count."
        )
    unpredicted = len(s.bars) - int(s.placed.predicted.sum())
    if unpredicted:
        yield f"{unpredicted} bars between the first and the last predicted bar have no prediction."
    yield from _fold_warnings(s)
    if s.signals.n_conflicting:
        yield f"{s.signals.n_conflicting} bars met both thresholds at once and gave no signal."
    if is_insolvent(s.outcome.equity):
        yield "Equity fell to 0 or below: the account was insolvent, and CAGR is not defined."


def _fold_warnings(s: Simulated) -> Iterator[str]:
    there = set(np.unique(s.placed.fold).tolist()) - {NO_FOLD}
    folds = [fold for fold in s.folds if fold.fold in there]
    of = f"of {len(folds)} folds"
    heard = [fold for fold in folds if fold.gives_signals(s.settings)]
    if len(heard) < len(folds):
        yield f"{len(folds) - len(heard)} {of} learned nothing and gave no signals."
    anyway = sum(fold.learned_nothing for fold in heard)
    if anyway:
        yield f"{anyway} {of} learned nothing and gave signals anyway."
    pairs = [fold.chosen(s.settings) for fold in heard]
    for side, values in (("long", [p[0] for p in pairs]), ("short", [p[1] for p in pairs])):
        unset = sum(value is None for value in values)
        if unset:
            yield f"{unset} {of} have no {side} threshold and gave no {side} signals."
        wrong = sum(v is not None and (v <= 0 if side == "long" else v >= 0) for v in values)
        if wrong and s.settings.threshold is not Threshold.ZERO:
            sign = "0 or less" if side == "long" else "0 or more"
            yield (
                f"{wrong} {of} have a {side} threshold of {sign}, "
                "which trades against the prediction's sign."
            )


def _buckets(outcome: Outcome) -> Iterator[Bucket]:
    for side, name in ((LONG, "long"), (SHORT, "short")):
        trades = outcome.trades[outcome.trades["side"] == side]
        if len(trades):
            yield bucket(name, trades, outcome.notional)
