"""The demo's path over real processes: counts, lineage and values."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
import pytest
from scipy.stats import spearmanr

from gateway.cli.api import Api
from tests.e2e.command import Command
from tests.e2e.conftest import BARS, INDICATORS

TRAIN, TEST, GAP, STEP, ROWS = 1500, 100, 9, 100, 6099
FOLDS = 1 + (ROWS - TRAIN - GAP - TEST) // STEP
LOOKBACK = 120
NOTIONAL = 1000.0
FEE, SLIPPAGE = 0.2e-4, 0.3e-4  # per side, as the simulation is asked for


@pytest.fixture(scope="module")
def run(command: Command, dataset: str) -> Any:
    return command.json(
        *("run", "submit", dataset, "--target", "TGT_FWD6", "--watch"),
        *("--train-size", str(TRAIN), "--test-size", str(TEST)),
        *("--train-test-gap", str(GAP), "--fold-step", str(STEP)),
    )


@pytest.fixture(scope="module")
def predictions(command: Command, run: Any) -> pl.DataFrame:
    done = command("run", "predictions", run["run_id"])
    return pl.read_csv(done.out.encode())


@pytest.fixture(scope="module")
def simulation(command: Command, run: Any) -> Any:
    return command.json("simulate", run["run_id"], "--fee-bps", "0.2", "--slippage-bps", "0.3")


@pytest.fixture(scope="module")
def trades(command: Command, simulation: Any) -> pl.DataFrame:
    done = command("simulation", "trades", simulation["simulation_id"], "-o", "csv")
    return pl.read_csv(done.out.encode())


@pytest.fixture(scope="module")
def indicators() -> pl.DataFrame:
    stamp = pl.concat_str(pl.col("Date"), pl.col("Time").cast(pl.String).str.zfill(4))
    opened = stamp.str.to_datetime("%Y%m%d%H%M").dt.epoch("ms").alias("timestamp_ms")
    return pl.read_csv(INDICATORS, separator=" ").with_columns(opened)


@pytest.fixture(scope="module")
def bars() -> pl.DataFrame:
    opened = pl.col("Time").str.to_datetime("%d.%m.%Y %H:%M:%S%.3f").dt.epoch("ms")
    return pl.read_csv(BARS).with_columns(opened.alias("timestamp_ms"))


def test_the_manifest_counts_what_the_files_hold(command: Command, dataset: str) -> None:
    found = command.json("dataset", "show", dataset)
    assert (found["ohlcv_rows"], found["indicator_rows"]) == (6225, ROWS)
    assert (found["lookback_rows"], found["lookahead_rows"]) == (LOOKBACK, 6)
    assert sum(gap["missing"] for gap in found["gaps"]) == 15
    roles = [column["role"] for column in found["columns"]]
    assert {role: roles.count(role) for role in ("feature", "target", "price")} == {
        "feature": 22,
        "target": 2,
        "price": 5,
    }


def test_rows_read_back_are_the_file(
    command: Command, dataset: str, bars: pl.DataFrame, indicators: pl.DataFrame
) -> None:
    read = command.json("dataset", "head", dataset, "-n", "6225", "--columns", "open,close")
    found = pl.DataFrame(read["rows"])
    assert found["timestamp_ms"].equals(bars["timestamp_ms"])
    assert found["open"].to_list() == bars["Open"].to_list()
    read = command.json("dataset", "head", dataset, "--table", "indicators", "-n", "6099")
    found = pl.DataFrame(read["rows"])
    assert found["timestamp_ms"].equals(indicators["timestamp_ms"])
    assert found["RSI_14"].to_list() == indicators["RSI_14"].to_list()


def test_the_run_remembers_the_version_and_content_it_used(
    command: Command, dataset: str, run: Any
) -> None:
    manifest = command.json("dataset", "show", dataset)
    for name in ("dataset_id", "version", "content_hash"):
        assert run[name] == manifest[name]


def test_a_dataset_a_run_uses_cannot_be_deleted(command: Command, dataset: str, run: Any) -> None:
    done = command("dataset", "delete", dataset, "--yes")
    assert done.code == 4
    assert "is needed by" in done.err
    assert run["run_id"] in done.err


def test_folds_are_where_the_arithmetic_puts_them(run: Any, indicators: pl.DataFrame) -> None:
    assert run["status"] == "COMPLETED"
    assert [fold["fold_number"] for fold in run["folds"]] == list(range(FOLDS))
    times = indicators["timestamp_ms"].to_numpy()
    for fold in run["folds"]:
        start = fold["fold_number"] * STEP
        assert (fold["train_start_idx"], fold["train_end_idx"]) == (start, start + TRAIN)
        assert fold["fit_end_idx"] == start + 1200
        assert fold["validation_start_idx"] == start + 1200 + GAP
        assert fold["test_start_idx"] == start + TRAIN + GAP
        assert fold["test_start_ts_ms"] == times[fold["test_start_idx"]]
        assert fold["test_end_ts_ms"] == times[fold["test_end_idx"] - 1] + 3_600_000


def test_every_test_row_is_predicted_once_with_the_file_s_target(
    predictions: pl.DataFrame, indicators: pl.DataFrame
) -> None:
    assert predictions.columns == [
        *("timestamp_ms", "bar_index", "fold_number", "prediction", "target"),
        *("long_threshold", "short_threshold"),
    ]
    first = TRAIN + GAP
    assert predictions["bar_index"].to_list() == list(range(first, first + FOLDS * TEST))
    rows = indicators[first : first + FOLDS * TEST]
    assert predictions["target"].to_list() == rows["TGT_FWD6"].to_list()
    assert predictions["timestamp_ms"].to_list() == rows["timestamp_ms"].to_list()


def test_pooled_metrics_are_those_of_the_predictions(run: Any, predictions: pl.DataFrame) -> None:
    summary = run["summary_metrics"]
    prediction, target = (predictions[name].to_numpy() for name in ("prediction", "target"))
    assert summary["errors"]["rmse"] == pytest.approx(np.sqrt(np.mean((target - prediction) ** 2)))
    assert summary["errors"]["spearman"] == pytest.approx(spearmanr(prediction, target)[0])
    silent = [fold["fold_number"] for fold in run["folds"] if fold["learned_nothing"]]
    assert run["folds_learned_nothing"] == summary["n_folds_without_signals"] == len(silent)
    speaks = ~predictions["fold_number"].is_in(silent).to_numpy()
    # A threshold that is missing makes no signal: NaN compares as false.
    long = speaks & (prediction >= predictions["long_threshold"].to_numpy().astype(float))
    short = speaks & (prediction <= predictions["short_threshold"].to_numpy().astype(float))
    long, short = long & ~short, short & ~long
    for side, returns in {
        "long": target[long],
        "short": -target[short],
        "dual": np.concatenate([target[long], -target[short]]),
    }.items():
        said = summary["signals"]["percentile"][side]
        assert said["n_signals"] == len(returns)
        assert said["hit_rate"] == pytest.approx(np.mean(returns > 0))
        gains, losses = returns[returns > 0].sum(), -returns[returns < 0].sum()
        assert said["profit_factor"] == pytest.approx(gains / losses)
        assert summary[f"pf_{side}"] == said["profit_factor"]


def test_what_was_planted_is_found(command: Command, dataset: str, run: Any) -> None:
    planted = command.json(
        *("run", "submit", dataset, "--target", "TGT_PLANTED", "--watch"),
        *("--train-size", str(TRAIN), "--test-size", str(TEST), "--fold-step", str(STEP)),
    )
    ic = [r["summary_metrics"]["errors"]["spearman"] for r in (run, planted)]
    assert ic[1] > ic[0] + 0.03
    assert planted["folds_learned_nothing"] < run["folds_learned_nothing"]


def test_the_metrics_of_a_simulation_are_those_of_its_trades(
    simulation: Any, trades: pl.DataFrame
) -> None:
    performance = simulation["performance"]
    pnl = trades["pnl"].to_numpy()
    assert performance["total_trades"] == trades.height > 0
    assert performance["total_return_pct"] == pytest.approx(pnl.sum() / NOTIONAL * 100)
    assert performance["win_rate"] == pytest.approx(np.mean(pnl > 0))
    assert performance["profit_factor"] == pytest.approx(pnl[pnl > 0].sum() / -pnl[pnl < 0].sum())
    assert performance["fees"] == pytest.approx(trades["fees"].sum())
    for side in ("long", "short"):
        of_side = trades.filter(pl.col("side") == side)
        assert simulation[f"{side}_only"]["total_trades"] == of_side.height
        [bucket] = [b for b in simulation["buckets"] if b["side"] == side]
        assert bucket["pnl"] == pytest.approx(of_side["pnl"].sum())


def test_trades_fill_at_the_open_after_the_signal(trades: pl.DataFrame, bars: pl.DataFrame) -> None:
    opens = bars["Open"].to_numpy()
    against = np.where(trades["side"].to_numpy() == "long", 1, -1) * SLIPPAGE
    entry = trades["entry_fill_ohlcv_index"].to_numpy()
    assert trades["entry_price"].to_numpy() == pytest.approx(opens[entry] * (1 + against))
    assert (entry == trades["entry_signal_ohlcv_index"].to_numpy() + 1).all()


def test_equity_ends_where_the_trades_do(
    command: Command, simulation: Any, trades: pl.DataFrame
) -> None:
    done = command("simulation", "equity", simulation["simulation_id"], "-o", "csv")
    equity = pl.read_csv(done.out.encode())
    assert equity.height == simulation["bars"] == FOLDS * TEST
    assert equity["equity"][-1] == pytest.approx(NOTIONAL + trades["pnl"].to_numpy().sum())


def test_buy_and_hold_is_that_of_the_same_bars(simulation: Any, bars: pl.DataFrame) -> None:
    first = LOOKBACK + TRAIN + GAP
    last = first + FOLDS * TEST - 1
    assert simulation["first_ts_ms"] == bars["timestamp_ms"][first]
    assert simulation["last_ts_ms"] == bars["timestamp_ms"][last]
    bought = bars["Open"][first] * (1 + SLIPPAGE)
    sold = bars["Close"][last] * (1 - SLIPPAGE)
    held = sold / bought - 1 - FEE * (1 + sold / bought)
    assert simulation["buy_hold"]["total_return_pct"] == pytest.approx(held * 100)


def test_lists_lead_from_dataset_to_run_to_simulation(
    command: Command, dataset: str, run: Any, simulation: Any
) -> None:
    runs = command.json("run", "list", "--slug", dataset, "--status", "completed")["runs"]
    assert run["run_id"] in [r["run_id"] for r in runs]
    found = command.json("simulation", "list", "--run-id", run["run_id"])["simulations"]
    assert [s["simulation_id"] for s in found] == [simulation["simulation_id"]]
    assert command.json("simulation", "show", simulation["simulation_id"]) == simulation


def test_a_run_that_has_ended_can_still_be_watched(command: Command, run: Any) -> None:
    assert command.json("run", "watch", run["run_id"])["status"] == "COMPLETED"


def test_a_plan_stores_nothing(command: Command, api: Api, dataset: str) -> None:
    before = api.get("/api/runs", {"limit": 1000})["count"]
    plan = command.json("run", "plan", dataset, "--target", "TGT_FWD6", "--train-size", "1500")
    assert plan["fold_count"] == len(plan["folds"]) > 0
    assert api.get("/api/runs", {"limit": 1000})["count"] == before


def test_a_file_that_breaks_a_rule_is_refused_and_leaves_nothing(
    command: Command, tmp_path: Any
) -> None:
    bad = tmp_path / "bad.csv"
    bad.write_text("Time,Open,High,Low,Close,Volume\n2017-01-02 00:00,1,0.5,1,1,1\n", "utf-8")
    done = command(
        "dataset", "import", "bad", "--ohlcv", str(bad), "--symbol", "X", "--granularity", "1h"
    )
    assert done.code == 5
    assert done.err == "--ohlcv (bad.csv) has high below low in 1 line: 2.\n"
    assert command("dataset", "show", "bad").code == 3
