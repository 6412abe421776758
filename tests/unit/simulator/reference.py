"""DOMAIN §7 in the plainest Python: one bar after the other, one rule a line, no speed.

Written from the text, not from the kernel. What the text leaves open is decided here so:
- A fold that learned nothing gives no signals, also none to exit.
- With flat_between_folds a fold's last close opens nothing.
- An intrabar exit is decided on its own bar, any other on the bar before its fill.
- Excursions count the bars held to their close, and both fills.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from services.simulator.domain import FoldThresholds, Intrabar, Mode, Settings


@dataclass(frozen=True, kw_only=True)
class Bar:
    open: float
    high: float
    low: float
    close: float
    prediction: float | None
    fold: int | None
    after_gap: bool = False


@dataclass(kw_only=True)
class Trade:
    side: int
    fold: int | None
    entry_signal: int
    entry: int
    entry_price: float
    quantity: float
    fees: float
    entry_prediction: float
    seen: list[float]  # prices the position lived through
    peak: float
    exit_signal: int = -1
    exit: int = -1
    exit_price: float = 0.0
    pnl: float = 0.0
    reason: str = ""

    @property
    def bars_held(self) -> int:
        return self.exit - self.entry

    def better(self, a: float, b: float) -> float:
        return max(a, b) if self.side == 1 else min(a, b)

    def worth(self, price: float) -> float:
        return self.side * self.quantity * (price - self.entry_price) - self.fees


@dataclass
class Reference:
    bars: list[Bar]
    folds: dict[int, FoldThresholds]
    settings: Settings
    trades: list[Trade] = field(default_factory=list)
    equity: list[float] = field(default_factory=list)
    position: list[int] = field(default_factory=list)
    n_unfilled: int = 0
    n_died_at_gap: int = 0
    n_conflicting: int = 0
    held: Trade | None = None
    ordered_exit: str = ""
    ordered_entry: int = 0
    last_stop: int | None = None

    def run(self) -> Reference:
        for t, bar in enumerate(self.bars):
            self.fill_orders(t, bar)
            self.try_stop_and_target(t, bar)
            self.decide(t)
            self.mark(bar.close)
        self.n_unfilled = 1 if self.ordered_entry else 0
        self.close_what_is_left()
        return self

    # -- what is known of a bar

    def gives_signals(self, t: int) -> bool:
        bar = self.bars[t]
        if bar.prediction is None or bar.fold is None:
            return False
        fold = self.folds[bar.fold]
        if fold.is_constant:
            return False
        return not fold.learned_nothing or self.settings.signals_when_learned_nothing

    def signal(self, t: int) -> int:
        bar = self.bars[t]
        if not self.gives_signals(t) or bar.prediction is None or bar.fold is None:
            return 0
        long, short = self.folds[bar.fold].chosen(self.settings)
        wants_long = long is not None and bar.prediction >= long
        wants_short = short is not None and bar.prediction <= short
        if wants_long and wants_short:
            self.n_conflicting += 1
            return 0
        return 1 if wants_long else -1 if wants_short else 0

    def ends_fold(self, t: int) -> bool:
        if t + 1 == len(self.bars) or self.bars[t].fold is None:
            return False
        return self.bars[t + 1].fold != self.bars[t].fold

    # -- the open

    def fill_orders(self, t: int, bar: Bar) -> None:
        if self.ordered_exit:
            self.leave(t, t - 1, bar.open, self.ordered_exit)
        if self.ordered_entry and bar.after_gap:
            self.n_died_at_gap += 1
        elif self.ordered_entry:
            self.enter(t, bar.open, self.ordered_entry)

    def enter(self, t: int, price: float, side: int) -> None:
        s = self.settings
        slipped = price * (1 + side * s.slippage_bps / 10_000)
        before = self.bars[t - 1]
        assert before.prediction is not None
        self.held = Trade(
            side=side,
            fold=before.fold,
            entry_signal=t - 1,
            entry=t,
            entry_price=slipped,
            quantity=s.notional / slipped,
            fees=s.notional * s.fee_bps / 10_000,
            entry_prediction=before.prediction,
            seen=[slipped],
            peak=slipped,
        )

    def leave(self, t: int, decided: int, price: float, reason: str) -> None:
        trade = self.held
        assert trade is not None
        slippage = 0.0 if reason == "target" else self.settings.slippage_bps / 10_000
        trade.exit_price = price * (1 - trade.side * slippage)
        trade.exit, trade.exit_signal, trade.reason = t, decided, reason
        trade.fees += trade.quantity * trade.exit_price * self.settings.fee_bps / 10_000
        trade.pnl = trade.worth(trade.exit_price)
        trade.seen.append(trade.exit_price)
        self.trades.append(trade)
        self.held = None

    # -- inside the bar

    def try_stop_and_target(self, t: int, bar: Bar) -> None:
        trade, s = self.held, self.settings
        if trade is None:
            return
        stop = target = None
        if s.stop_fraction is not None:
            start = trade.peak if s.trailing_stop else trade.entry_price
            stop = start * (1 - trade.side * s.stop_fraction)
        if s.target_fraction is not None:
            target = trade.entry_price * (1 + trade.side * s.target_fraction)
        name = "trailing_stop" if s.trailing_stop else "stop"
        hit = self.first_hit(trade, bar, stop, target, name)
        if hit is None:
            trade.seen += [bar.high, bar.low]
            trade.peak = trade.better(trade.peak, trade.better(bar.high, bar.low))
        else:
            reason, price = hit
            self.leave(t, t, price, reason)
            if reason == name:
                self.last_stop = t

    def first_hit(
        self, trade: Trade, bar: Bar, stop: float | None, target: float | None, name: str
    ) -> tuple[str, float] | None:
        def stopped_at(price: float) -> bool:
            return stop is not None and (price <= stop if trade.side == 1 else price >= stop)

        def reached_at(price: float) -> bool:
            return target is not None and (price >= target if trade.side == 1 else price <= target)

        worst = bar.low if trade.side == 1 else bar.high
        best = bar.high if trade.side == 1 else bar.low
        if stopped_at(bar.open):
            return name, bar.open
        if reached_at(bar.open):
            return "target", bar.open
        hits = []
        if stop is not None and stopped_at(worst):
            hits.append((name, stop))
        if target is not None and reached_at(best):
            hits.append(("target", target))
        if self.settings.intrabar is Intrabar.TARGET_FIRST:
            hits.reverse()
        return hits[0] if hits else None

    # -- the close

    def decide(self, t: int) -> None:
        signal = self.signal(t)
        self.ordered_exit = self.exit_at_close(t, signal)
        self.ordered_entry = 0
        flat = self.held is None
        turning = self.held is not None and self.ordered_exit and signal == -self.held.side
        if signal and (turning or (flat and not self.resting(t))) and self.may_enter(t, signal):
            self.ordered_entry = signal

    def resting(self, t: int) -> bool:
        """Nothing may be entered in the cooldown_bars bars after the bar of the stop."""
        return self.last_stop is not None and t + 1 <= self.last_stop + self.settings.cooldown_bars

    def may_enter(self, t: int, side: int) -> bool:
        if self.settings.flat_between_folds and self.ends_fold(t):
            return False
        return {Mode.LONG: side == 1, Mode.SHORT: side == -1, Mode.DUAL: True}[self.settings.mode]

    def exit_at_close(self, t: int, signal: int) -> str:
        trade, s = self.held, self.settings
        if trade is None:
            return ""
        if s.honor_signal_reversal and signal == -trade.side:
            return "reversal"
        if s.max_holding_bars is not None and t + 1 == trade.entry + s.max_holding_bars:
            return "time"
        if s.exit_strength is not None and self.weakened(t, trade, s.exit_strength):
            return "signal"
        if s.flat_between_folds and self.ends_fold(t):
            return "end_of_fold"
        return ""

    def weakened(self, t: int, trade: Trade, strength: float) -> bool:
        now, then = self.bars[t].prediction, trade.entry_prediction
        if now is None or not self.gives_signals(t):
            return False
        same_sign = (now > 0 and then > 0) or (now < 0 and then < 0) or (now == then == 0)
        return abs(now) < strength * abs(then) or not same_sign

    # -- money

    def mark(self, close: float) -> None:
        done = sum(trade.pnl for trade in self.trades)
        open_ = self.held.worth(close) if self.held else 0.0
        self.equity.append(self.settings.notional + done + open_)
        self.position.append(self.held.side if self.held else 0)

    def close_what_is_left(self) -> None:
        if self.held is not None:
            last = len(self.bars) - 1
            self.leave(last, last, self.bars[-1].close, "end_of_data")
            self.equity[-1] = self.settings.notional + sum(t.pnl for t in self.trades)
