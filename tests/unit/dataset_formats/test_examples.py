"""The files of examples/: real bars and the indicators made from them."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from services.dataset.domain.columns import Role
from services.dataset.formats import FileRefused, Format, Kind, Options, describe, read

EXAMPLES = Path(__file__).parents[3] / "examples"


def test_the_real_eurusd_hours_of_2017_are_read() -> None:
    parsed = read(EXAMPLES / "eurusd_1h_2017_ask.csv", Kind.OHLCV, Options())
    assert parsed.format is Format.CSV
    assert parsed.table.num_rows == 6225
    assert parsed.null_counts == {}
    first = parsed.table.slice(0, 1).to_pylist()[0]
    assert first == {
        "timestamp_ms": int(datetime(2017, 1, 1, 22, tzinfo=UTC).timestamp()) * 1000,
        "open": 1.05236,
        "high": 1.05253,
        "low": 1.05221,
        "close": 1.05227,
        "volume": 143539993.3,
    }
    assert any("day, month, year" in note for note in parsed.notes)


def test_the_indicators_made_from_them_are_read() -> None:
    bars = read(EXAMPLES / "eurusd_1h_2017_ask.csv", Kind.OHLCV, Options()).table
    parsed = read(EXAMPLES / "eurusd_1h_2017_indicators.txt", Kind.INDICATORS, Options())
    assert parsed.format is Format.TSSB_DATABASE
    stamps = parsed.table["timestamp_ms"].to_pylist()
    lookback = bars["timestamp_ms"].to_pylist().index(stamps[0])
    assert stamps == bars["timestamp_ms"].to_pylist()[lookback : lookback + len(stamps)]
    found = describe(parsed.table)
    targets = [name for name, role in found.roles.items() if role is Role.TARGET]
    assert targets == ["TGT_FWD6", "TGT_PLANTED"]
    assert found.warnings == ()


def test_the_wrong_kind_of_file_is_told() -> None:
    with pytest.raises(FileRefused, match="no column for 'open', 'high', 'low', 'close'"):
        read(EXAMPLES / "eurusd_1h_2017_indicators.txt", Kind.OHLCV, Options())
    with pytest.raises(FileRefused, match="names that the system uses itself: 'Open'"):
        read(EXAMPLES / "eurusd_1h_2017_ask.csv", Kind.INDICATORS, Options())
