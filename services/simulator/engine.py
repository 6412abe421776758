"""Trade by trade, bar by bar: the kernel. Arrays in, arrays out, no Python inside the loop.

tests/unit/simulator/reference.py says the same slowly; a property test holds them together.
What a bar does, in this order: orders of the close before fill at its open; stop and
target are tried; what the close decides becomes the next bar's orders.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from services.simulator.domain import (
    Bars,
    ExitReason,
    Flags,
    Floats,
    Intrabar,
    Mode,
    Settings,
    Sides,
    Signals,
)
from services.simulator.jit import compiled

# Of a trade; bars are positions in the window, excursions are prices.
TRADE: Final = np.dtype(
    [
        ("side", np.int8),
        ("reason", np.int8),
        ("entry_signal", np.int64),
        ("entry", np.int64),
        ("exit_signal", np.int64),
        ("exit", np.int64),
        ("entry_price", np.float64),
        ("exit_price", np.float64),
        ("quantity", np.float64),
        ("fees", np.float64),
        ("pnl", np.float64),
        ("lowest", np.float64),
        ("highest", np.float64),
    ]
)

Trades = NDArray[np.void]  # of TRADE

STOP: Final = int(ExitReason.STOP)
TRAILING_STOP: Final = int(ExitReason.TRAILING_STOP)
TARGET: Final = int(ExitReason.TARGET)
TIME: Final = int(ExitReason.TIME)
SIGNAL: Final = int(ExitReason.SIGNAL)
REVERSAL: Final = int(ExitReason.REVERSAL)
END_OF_FOLD: Final = int(ExitReason.END_OF_FOLD)
END_OF_DATA: Final = int(ExitReason.END_OF_DATA)


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """Profits are money won so far, open positions at the close; row by bar."""

    trades: Trades
    notional: float
    profit_long: Floats
    profit_short: Floats
    position: Sides  # held at the close
    n_unfilled: int
    n_died_at_gap: int

    @property
    def equity(self) -> Floats:
        return self.notional + self.profit_long + self.profit_short


class Rules(NamedTuple):
    """Settings as numbers; NaN (or 0 holding bars) switches a rule off."""

    only: int  # the one side that may be entered, 0 for both
    reversal: bool
    exit_strength: float
    stop: float
    trailing: bool
    target: float
    target_first: bool
    max_holding_bars: int
    cooldown_bars: int
    flat_between_folds: bool
    fee: float
    slippage: float
    notional: float


def simulate(bars: Bars, signals: Signals, last_of_fold: Flags, settings: Settings) -> Outcome:
    # Every trade has a signal of its own; one row more, since the kernel looks at the next.
    trades = np.empty(int(np.count_nonzero(signals.side)) + 1, dtype=TRADE)
    profit = np.empty((2, len(bars)))
    position = np.empty(len(bars), dtype=np.int8)
    n_trades, n_unfilled, n_died_at_gap = _run(
        *(bars.open, bars.high, bars.low, bars.close, bars.after_gap),
        *(signals.side, signals.judged, last_of_fold, _rules(settings)),
        *(trades, profit, position),
    )
    return Outcome(
        trades=trades[:n_trades].copy(),
        notional=settings.notional,
        profit_long=profit[0],
        profit_short=profit[1],
        position=position,
        n_unfilled=n_unfilled,
        n_died_at_gap=n_died_at_gap,
    )


def _rules(s: Settings) -> Rules:
    return Rules(
        only={Mode.LONG: 1, Mode.SHORT: -1, Mode.DUAL: 0}[s.mode],
        reversal=s.honor_signal_reversal,
        exit_strength=np.nan if s.exit_strength is None else s.exit_strength,
        stop=np.nan if s.stop_fraction is None else s.stop_fraction,
        trailing=s.trailing_stop,
        target=np.nan if s.target_fraction is None else s.target_fraction,
        target_first=s.intrabar is Intrabar.TARGET_FIRST,
        max_holding_bars=s.max_holding_bars or 0,
        cooldown_bars=s.cooldown_bars,
        flat_between_folds=s.flat_between_folds,
        fee=s.fee_bps / 10_000,
        slippage=s.slippage_bps / 10_000,
        notional=s.notional,
    )


@compiled
def _enter(trade: Any, rules: Rules, bar: int, side: int, price: float) -> None:
    fill = price * (1 + side * rules.slippage)
    trade.side = side
    trade.entry_signal = bar - 1
    trade.entry = bar
    trade.entry_price = fill
    trade.quantity = rules.notional / fill
    trade.fees = rules.notional * rules.fee
    trade.lowest = fill
    trade.highest = fill


@compiled
def _leave(trade: Any, rules: Rules, bar: int, signal_bar: int, price: float, reason: int) -> float:
    slippage = 0.0 if reason == TARGET else rules.slippage  # a target is a limit order
    fill = price * (1 - trade.side * slippage)
    trade.reason = reason
    trade.exit_signal = signal_bar
    trade.exit = bar
    trade.exit_price = fill
    trade.fees += trade.quantity * fill * rules.fee
    trade.pnl = trade.side * trade.quantity * (fill - trade.entry_price) - trade.fees
    trade.lowest = min(trade.lowest, fill)
    trade.highest = max(trade.highest, fill)
    return float(trade.pnl)


@compiled
def _touched(trade: Any, rules: Rules, open_: float, high: float, low: float) -> tuple[int, float]:
    """Reason and price of an exit inside the bar; 0 when the position is held to its close."""
    side = trade.side
    peak, stopping = trade.entry_price, STOP
    if rules.trailing:  # the peak of the bars before this one
        peak = trade.highest if side > 0 else trade.lowest
        stopping = TRAILING_STOP
    stop = peak * (1 - side * rules.stop)
    target = trade.entry_price * (1 + side * rules.target)
    worst_in_bar, best_in_bar = (low, high) if side > 0 else (high, low)
    if side * open_ <= side * stop:
        return stopping, open_
    if side * open_ >= side * target:
        return TARGET, open_
    stopped = side * worst_in_bar <= side * stop
    reached = side * best_in_bar >= side * target
    if stopped and not (reached and rules.target_first):
        return stopping, stop
    if reached:
        return TARGET, target
    return 0, 0.0


@compiled
def _decided(
    trade: Any, rules: Rules, bar: int, signal: int, judged: Floats, last_of_fold: bool
) -> int:
    """Reason to leave at the next open, 0 to stay."""
    if rules.reversal and signal == -trade.side:
        return REVERSAL
    if rules.max_holding_bars > 0 and bar + 1 - trade.entry >= rules.max_holding_bars:
        return TIME
    prediction, at_entry = judged[bar], judged[trade.entry_signal]
    if not np.isnan(rules.exit_strength) and not np.isnan(prediction):
        weak = abs(prediction) < rules.exit_strength * abs(at_entry)
        if weak or np.sign(prediction) != np.sign(at_entry):
            return SIGNAL
    if rules.flat_between_folds and last_of_fold:
        return END_OF_FOLD
    return 0


@compiled
def _orders(
    trade: Any,
    rules: Rules,
    bar: int,
    held: int,
    signal: int,
    judged: Floats,
    last_of_fold: bool,
    resting_until: int,
) -> tuple[int, int]:
    """What the close orders for the next open: reason to leave, side to enter."""
    leaving, entering = 0, signal
    if held != 0:
        leaving = _decided(trade, rules, bar, signal, judged, last_of_fold)
        if leaving == 0 or signal != -held:
            entering = 0
    elif bar < resting_until:
        entering = 0
    forbidden = rules.only != 0 and entering != rules.only
    if forbidden or (rules.flat_between_folds and last_of_fold):
        entering = 0
    return leaving, entering


@compiled
def _run(
    open_: Floats,
    high: Floats,
    low: Floats,
    close: Floats,
    after_gap: Flags,
    signal: Sides,
    judged: Floats,
    last_of_fold: Flags,
    rules: Rules,
    trades: Any,
    profit: Floats,
    position: Sides,
) -> tuple[int, int, int]:
    """Fills trades, profit and position; returns trades, unfilled signals and dead orders."""
    n_trades = n_died = held = leaving = entering = resting_until = 0
    won = np.zeros(2)
    for t in range(len(close)):
        trade = trades[n_trades]
        if leaving != 0:
            won[_row(held)] += _leave(trade, rules, t, t - 1, open_[t], leaving)
            n_trades += 1
            trade = trades[n_trades]
            held = 0
        if entering != 0 and after_gap[t]:
            n_died += 1
        elif entering != 0:
            _enter(trade, rules, t, entering, open_[t])
            held = entering
        if held != 0:
            reason, price = _touched(trade, rules, open_[t], high[t], low[t])
            if reason == 0:
                trade.lowest = min(trade.lowest, low[t])
                trade.highest = max(trade.highest, high[t])
            else:
                won[_row(held)] += _leave(trade, rules, t, t, price, reason)
                n_trades += 1
                trade = trades[n_trades]
                held = 0
                if reason in (STOP, TRAILING_STOP):
                    resting_until = t + rules.cooldown_bars
        leaving, entering = _orders(
            trade, rules, t, held, signal[t], judged, last_of_fold[t], resting_until
        )
        position[t] = held
        profit[0, t] = won[0]
        profit[1, t] = won[1]
        if held != 0:
            open_profit = held * trade.quantity * (close[t] - trade.entry_price)
            profit[_row(held), t] += open_profit - trade.fees
    if held != 0:
        last = len(close) - 1
        pnl = _leave(trades[n_trades], rules, last, last, close[last], END_OF_DATA)
        profit[_row(held), last] = won[_row(held)] + pnl
        n_trades += 1
    return n_trades, int(entering != 0), n_died


@compiled
def _row(side: int) -> int:
    """Of `profit`: 0 long, 1 short."""
    return (1 - side) // 2
