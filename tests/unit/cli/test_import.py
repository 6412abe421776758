"""What `dataset import` says of what the server decided."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pytest

from gateway.cli.__main__ import run
from gateway.cli.exit_codes import ExitCode
from tests.unit.cli.scripted_server import answering

REPORT: dict[str, Any] = {
    "notes": ["times are UTC"],
    "warnings": ["A is constant"],
    "columns": [],
    "trimmed_head_rows": 3,
    "trimmed_tail_rows": 0,
    "missing_slots": 0,
}


@pytest.fixture
def bars(tmp_path: Path) -> str:
    path = tmp_path / "bars.csv"
    path.write_text("x", "utf-8")
    return str(path)


def test_notes_and_warnings_are_told_beside_json_too(
    bars: str, capfd: pytest.CaptureFixture[str]
) -> None:
    body = {"dataset_id": "seven", "report": REPORT}
    arguments = ["dataset", "import", "a", "--symbol", "EURUSD", "--ohlcv", bars]
    with answering(lambda call: call.json(201, body)) as url:
        assert run([*arguments, "-o", "json", "--url", url]) == ExitCode.OK
    shown = capfd.readouterr()
    assert orjson.loads(shown.out) == body
    assert shown.err.splitlines() == [
        "note: times are UTC",
        "warning: A is constant",
        "note: 3 indicator rows without any value at the head left out.",
    ]


def test_a_symbol_is_asked_for_before_anything_is_sent(
    bars: str, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run(["dataset", "import", "a", "--ohlcv", bars]) == ExitCode.USAGE
    assert "Missing option '--symbol'" in capfd.readouterr().err


@pytest.mark.parametrize("source", ["--symbol", "--dataset-id", "--manifest"])
def test_a_symbol_may_come_from_elsewhere(source: str, bars: str) -> None:
    value = bars if source == "--manifest" else "seven"
    with answering(lambda call: call.json(400, {"error": "Enough."})) as url:
        arguments = ["dataset", "import", "a", "--ohlcv", bars, source, value]
        assert run([*arguments, "--url", url]) == ExitCode.REFUSED


def test_a_target_looks_ahead_at_least_a_bar(bars: str, capfd: pytest.CaptureFixture[str]) -> None:
    arguments = ["dataset", "import", "a", "--symbol", "X", "--ohlcv", bars]
    assert run([*arguments, "--target", "TGT:0"]) == ExitCode.USAGE
    assert "'TGT:0'" in capfd.readouterr().err
