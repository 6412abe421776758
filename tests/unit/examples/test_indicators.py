"""The committed example files: where they come from and what they promise."""

from __future__ import annotations

import hashlib
from dataclasses import fields
from datetime import datetime
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from examples import make_indicators as script
from examples.make_indicators import BARS, INDICATORS, Bars

LOOKBACK = 120


@pytest.fixture(scope="module")
def bars() -> Bars:
    return script.read_bars(BARS)


@pytest.fixture(scope="module")
def table() -> pl.DataFrame:
    return pl.read_csv(
        INDICATORS, separator=" ", schema_overrides={"Date": pl.String, "Time": pl.String}
    )


def first(bars: Bars, rows: int) -> Bars:
    return Bars(**{f.name: getattr(bars, f.name)[:rows] for f in fields(Bars)})


def test_the_bars_are_the_file_that_the_package_ships() -> None:
    digest = hashlib.sha256(BARS.read_bytes()).hexdigest()
    assert digest == "28398b7edff9f74860d35a6f3c263f08e15c55264316dc07737d459d8688d7aa"
    assert len(BARS.read_text().splitlines()) == 1 + 6225


def test_the_script_makes_the_committed_file_byte_for_byte(bars: Bars) -> None:
    assert script.database(bars).encode() == INDICATORS.read_bytes()


def test_every_row_belongs_to_the_bar_one_lookback_later(table: pl.DataFrame) -> None:
    opened = pl.read_csv(BARS)["Time"].to_list()[LOOKBACK : -script.HORIZON_BARS]
    expected = [
        datetime.strptime(t, "%d.%m.%Y %H:%M:%S.%f").strftime("%Y%m%d %H%M") for t in opened
    ]
    assert (table["Date"] + " " + table["Time"]).to_list() == expected


def test_names_fit_into_tssb_and_values_are_complete(table: pl.DataFrame) -> None:
    assert all(len(name) <= 15 for name in table.columns)
    values = table.drop("Date", "Time").to_numpy()
    assert values.shape == (6099, 24)
    assert np.isfinite(values).all()


@pytest.mark.parametrize("known", [200, 1000, 4321])
def test_an_indicator_does_not_change_when_later_bars_become_known(bars: Bars, known: int) -> None:
    before, after = script.features(first(bars, known)), script.features(bars)
    for name, values in before.items():
        np.testing.assert_allclose(values, after[name][:known], rtol=1e-9, atol=1e-12, err_msg=name)


def test_the_target_is_the_way_from_the_next_open_to_the_close_of_the_sixth_bar(
    bars: Bars, table: pl.DataFrame
) -> None:
    t = LOOKBACK + 1000
    highs, lows, closes = (x[t - 20 : t + 1] for x in (bars.high, bars.low, bars.close))
    ranges = np.maximum(highs[1:], closes[:-1]) - np.minimum(lows[1:], closes[:-1])
    expected = (bars.close[t + 6] - bars.open[t + 1]) / ranges.mean()
    assert table["TGT_FWD6"][1000] == pytest.approx(expected, rel=1e-5, abs=1e-6)


def test_the_planted_target_adds_a_fifth_of_a_deviation_of_a_20_bar_indicator(
    table: pl.DataFrame,
) -> None:
    target, indicator = table["TGT_FWD6"].to_numpy(), table["BOLL_POS_20"].to_numpy()
    added = table["TGT_PLANTED"].to_numpy() - target
    assert added.std() / target.std() == pytest.approx(0.2, rel=1e-4)
    assert np.corrcoef(added, indicator)[0, 1] == pytest.approx(1.0, abs=1e-6)


def test_bars_that_cannot_be_read_leave_the_file_as_it_was(tmp_path: Path) -> None:
    kept = tmp_path / "indicators.txt"
    kept.write_text("kept")
    with pytest.raises(FileNotFoundError):
        script.main(str(tmp_path / "nowhere.csv"), str(kept))
    assert kept.read_text() == "kept"
