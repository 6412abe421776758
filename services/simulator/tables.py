"""Trades and equity as Arrow: the columns of DOMAIN §7."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import pyarrow as pa

from services.simulator.domain import Bars, ExitReason, Ints, Placed
from services.simulator.engine import Outcome
from services.simulator.metrics import drawdown, excursions

_SIDES: Final = pa.array(["short", "", "long"])
_REASONS: Final = pa.array(["", *(reason.label for reason in ExitReason)])

TRADES: Final = pa.schema(
    [
        pa.field("timestamp_ms", pa.int64(), nullable=False),
        pa.field("trade_id", pa.int64(), nullable=False),
        pa.field("side", pa.string(), nullable=False),
        pa.field("fold", pa.int32(), nullable=False),
        *(
            pa.field(f"{end}_{moment}_{what}", pa.int64(), nullable=False)
            for end in ("entry", "exit")
            for moment in ("signal", "fill")
            for what in ("bar_index", "ohlcv_index", "ts_ms")
        ),
        *(
            pa.field(name, pa.float64(), nullable=False)
            for name in ("entry_price", "exit_price", "quantity", "fees", "pnl", "return_pct")
        ),
        pa.field("bars_held", pa.int64(), nullable=False),
        pa.field("mae_pct", pa.float64(), nullable=False),
        pa.field("mfe_pct", pa.float64(), nullable=False),
        pa.field("entry_prediction", pa.float64(), nullable=False),
        pa.field("exit_prediction", pa.float64()),
        pa.field("exit_reason", pa.string(), nullable=False),
    ]
)

EQUITY: Final = pa.schema(
    [
        pa.field("timestamp_ms", pa.int64(), nullable=False),
        pa.field("bar_index", pa.int64(), nullable=False),
        pa.field("ohlcv_index", pa.int64(), nullable=False),
        pa.field("equity", pa.float64(), nullable=False),
        pa.field("position", pa.int8(), nullable=False),
        pa.field("drawdown", pa.float64(), nullable=False),
    ]
)


def trades_batch(bars: Bars, placed: Placed, outcome: Outcome) -> pa.RecordBatch:
    trades = outcome.trades
    mae, mfe = excursions(trades)
    exit_prediction = placed.value[trades["exit_signal"]]
    columns = {
        "timestamp_ms": bars.timestamp_ms[trades["entry"]],
        "trade_id": np.arange(len(trades)),
        "side": _SIDES.take(pa.array(trades["side"].astype(np.int64) + 1)),
        "fold": placed.fold[trades["entry_signal"]].astype(np.int32),
        **_moment("entry_signal", trades["entry_signal"], bars, placed),
        **_moment("entry_fill", trades["entry"], bars, placed),
        **_moment("exit_signal", trades["exit_signal"], bars, placed),
        **_moment("exit_fill", trades["exit"], bars, placed),
        **{name: trades[name] for name in ("entry_price", "exit_price", "quantity", "fees", "pnl")},
        "return_pct": 100 * trades["pnl"] / outcome.notional,
        "bars_held": trades["exit"] - trades["entry"],
        "mae_pct": 100 * mae,
        "mfe_pct": 100 * mfe,
        "entry_prediction": placed.value[trades["entry_signal"]],
        "exit_prediction": pa.array(exit_prediction, mask=np.isnan(exit_prediction)),
        "exit_reason": _REASONS.take(pa.array(trades["reason"].astype(np.int64))),
    }
    return pa.record_batch([_array(columns[name]) for name in TRADES.names], schema=TRADES)


def equity_batch(bars: Bars, placed: Placed, outcome: Outcome) -> pa.RecordBatch:
    at, equity = np.arange(len(bars)), outcome.equity
    columns = {
        "timestamp_ms": bars.timestamp_ms,
        "bar_index": at + placed.first_bar_index,
        "ohlcv_index": at + bars.first_ohlcv_index,
        "equity": equity,
        "position": outcome.position,
        "drawdown": drawdown(equity, outcome.notional),
    }
    return pa.record_batch([_array(columns[name]) for name in EQUITY.names], schema=EQUITY)


def _moment(name: str, at: Ints, bars: Bars, placed: Placed) -> dict[str, Ints]:
    return {
        f"{name}_bar_index": at + placed.first_bar_index,
        f"{name}_ohlcv_index": at + bars.first_ohlcv_index,
        f"{name}_ts_ms": bars.timestamp_ms[at],
    }


def _array(column: Any) -> pa.Array:
    # A field of a record array is strided, which Arrow would copy value by value.
    return column if isinstance(column, pa.Array) else pa.array(np.ascontiguousarray(column))
