"""Trades, column by column, in the words of existing clients."""

from __future__ import annotations

from typing import Final

import polars as pl

from gateway.http.shapes.words import EXIT_REASONS, TRADE_COLUMNS

_ISO: Final = "%Y-%m-%dT%H:%M:%S%.3fZ"
_FIRST: Final = (
    *("trade_id", "simulation_id", "fold", "side", "size", "entry_time", "exit_time"),
    *("entry_price", "exit_price", "entry_signal", "exit_signal", "pnl", "return_pct"),
    *("cumulative_return_pct", "exit_reason", "bars_held"),
)


class Trades:
    """Reshapes the batches of one simulation, in their order: returns add up over all of them."""

    def __init__(self, simulation_id: str) -> None:
        self._simulation_id = simulation_id
        self._return_pct = 0.0

    def __call__(self, frame: pl.DataFrame) -> pl.DataFrame:
        reshaped = frame.with_columns(
            simulation_id=pl.lit(self._simulation_id),
            entry_time=_iso("entry_fill_ts_ms"),
            exit_time=_iso("exit_fill_ts_ms"),
            cumulative_return_pct=self._return_pct + pl.col("return_pct").cum_sum(),
            exit_reason=pl.col("exit_reason").replace(dict(EXIT_REASONS)),
        ).rename(dict(TRADE_COLUMNS))
        self._return_pct += float(frame["return_pct"].sum())
        return reshaped.select(*_FIRST, pl.exclude(*_FIRST))


def _iso(column: str) -> pl.Expr:
    return pl.from_epoch(column, "ms").dt.strftime(_ISO)
