from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.cli import output, tables
from gateway.cli.tables import datasets

ROWS = [
    {"id": "a", "count": 7, "share": 0.5, "note": None},
    {"id": "b", "count": 12, "share": None, "note": "as it is"},
]


@pytest.fixture
def wide(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "100")


def test_numbers_stand_to_the_right_and_nothing_is_a_dash(
    wide: None, capsys: pytest.CaptureFixture[str]
) -> None:
    output.table(ROWS, ["id", "count", "share", "note"])
    lines = [line.rstrip() for line in capsys.readouterr().out.splitlines()]
    assert " a       7    0.5  -" in lines
    assert " b      12      -  as it is" in lines


def test_columns_that_do_not_fit_are_left_out_and_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(output, "_PIPE_WIDTH", 14)
    output.table(ROWS, ["id", "count", "share", "note"])
    shown = capsys.readouterr()
    assert "share" not in shown.out
    assert shown.err == "No room for share, note: a wider terminal or -o json shows them.\n"


@pytest.mark.parametrize("slug", ["eurusd_1h_2017", "s" * 64])
def test_a_dataset_keeps_its_id_and_version_at_80_columns(
    slug: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(output, "_PIPE_WIDTH", 80)
    dataset = {
        "dataset_slug": slug,
        "dataset_id": "5bd6e2ff-7f71-4d3c-9a3e-0123456789ab",
        "version": 7,
        "symbol": "EURUSD",
        "granularity": "1h",
        "ohlcv_row_count": 6225,
        "indicator_row_count": 6099,
        "ohlcv_first_ts": 1483308000000,
        "ohlcv_last_ts": 1514584800000,
    }
    datasets.listed({"datasets": [dataset], "next_page_token": ""})
    lines = capsys.readouterr().out.splitlines()
    titles, *rows = [line for line in lines if line.strip("─ ")]
    start, end = titles.index("id"), titles.index("version")
    assert "".join(row[start:end].strip() for row in rows) == dataset["dataset_id"]
    assert any(" 7" in row for row in rows)


def test_rows_of_the_store_keep_their_digits_and_say_their_time(
    wide: None, capsys: pytest.CaptureFixture[str]
) -> None:
    tables.rows([{"index": 0, "timestamp_ms": 1483308000000, "open": 1.05236123}], first=["open"])
    shown = capsys.readouterr().out
    assert "open  index   timestamp (UTC)" in shown
    assert "1.05236123      0  2017-01-01 22:00" in shown


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (None, "-"),
        (float("nan"), "-"),
        (float("inf"), "inf"),
        (0.0, "0"),
        (1.23456, "1.235"),
        (12345.678, "12,345.7"),
        (-12345.678, "-12,345.7"),
        (1e300, "1e+300"),
        (-1.23456e15, "-1.235e+15"),
    ],
)
def test_numbers_are_written_for_people(value: float | None, written: str) -> None:
    assert output.number(value) == written


@given(st.integers(-(10**12), 10**12))
def test_an_instant_is_utc_to_the_minute(timestamp_ms: int) -> None:
    assert len(output.instant(timestamp_ms)) == len("2017-01-01 22:00")


def test_json_goes_out_as_one_document(capsys: pytest.CaptureFixture[str]) -> None:
    output.json_only({"a": [1, None]}, lambda _: output.line("never"))
    assert capsys.readouterr().out == '{\n  "a": [\n    1,\n    null\n  ]\n}\n'
