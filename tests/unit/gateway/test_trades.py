from __future__ import annotations

import polars as pl
import pytest

from gateway.http.shapes.trades import Trades

OURS = pl.DataFrame(
    {
        "trade_id": [0, 1, 2],
        "side": ["long", "short", "long"],
        "fold": [0, 0, 1],
        "entry_fill_ts_ms": [1_491_570_000_000, -1, 0],
        "exit_fill_ts_ms": [1_491_573_600_000, 0, 1],
        "entry_price": [1.0, 2.0, 3.0],
        "exit_price": [1.0, 2.0, 3.0],
        "quantity": [10.0, 20.0, 30.0],
        "pnl": [5.0, -2.5, 10.0],
        "return_pct": [0.5, -0.25, 1.0],
        "bars_held": [1, 2, 3],
        "entry_prediction": [0.1, -0.2, 0.3],
        "exit_prediction": [None, 0.2, 0.3],
        "exit_reason": ["stop", "trailing_stop", "end_of_data"],
        "fees": [0.0, 0.0, 0.0],
    }
)


def test_trades_come_in_the_words_and_order_of_existing_clients() -> None:
    first = Trades("an id")(OURS).row(0, named=True)
    assert list(first)[:16] == [
        *("trade_id", "simulation_id", "fold", "side", "size", "entry_time", "exit_time"),
        *("entry_price", "exit_price", "entry_signal", "exit_signal", "pnl", "return_pct"),
        *("cumulative_return_pct", "exit_reason", "bars_held"),
    ]
    assert first["simulation_id"] == "an id"
    assert first["size"] == 10.0
    assert first["exit_reason"] == "stop_loss"
    assert first["entry_time"] == "2017-04-07T13:00:00.000Z"


def test_reasons_without_another_word_are_kept_and_times_before_1970_are_times() -> None:
    trades = Trades("an id")(OURS)
    assert trades["exit_reason"].to_list() == ["stop_loss", "trailing_stop", "end_of_data"]
    assert trades["entry_time"][1] == "1969-12-31T23:59:59.999Z"


@pytest.mark.parametrize("cut", [0, 1, 2, 3])
def test_returns_add_up_over_batches_cut_anywhere(cut: int) -> None:
    reshape = Trades("an id")
    parts = [reshape(OURS[:cut]), reshape(OURS[cut:])]
    assert pl.concat(parts)["cumulative_return_pct"].to_list() == [0.5, 0.25, 1.25]
