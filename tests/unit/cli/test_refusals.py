"""Refusals speak of what was typed, not of the fields that commands make of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.cli.__main__ import run
from gateway.cli.exit_codes import ExitCode
from tests.unit.cli.scripted_server import Call, answering

IMPORT = "dataset import a --symbol X --ohlcv BARS --target TGT_A --target TGT_B:500"
RUN = "run plan a --target TGT -P eta=2 --train-size 5"


@pytest.fixture
def bars(tmp_path: Path) -> str:
    path = tmp_path / "bars.csv"
    path.write_text("x", "utf-8")
    return str(path)


def refused(command: str, *fields: str, bars: str) -> int:
    violations = [{"field": field, "message": "is wrong"} for field in fields]
    body = {"error": "?", "details": {"reason": "INVALID_REQUEST", "fields": violations}}
    arguments = [bars if word == "BARS" else word for word in command.split()]
    with answering(lambda call: call.json(400, body)) as url:
        return run([*arguments, "--url", url])


@pytest.mark.parametrize(
    ("command", "field", "called"),
    [
        ("dataset head a --columns x", "columns", "--columns"),
        ("dataset head a", "limit", "--rows"),
        ("dataset head a", "offset", "--start-index"),
        ("dataset head a --last", "desc", "--last"),
        ("dataset head A", "dataset", "NAME"),
        ("dataset columns a", "columns", "--columns"),
        ("dataset list", "limit", "--limit"),
        ("dataset sniff BARS", "file", "FILE"),
        ("dataset sniff BARS", "text_columns", "--text-columns"),
        ("dataset imports x", "import_id", "IMPORT_ID"),
        ("dataset update a --remove-metadata x", "removed_metadata", "--remove-metadata"),
        ("dataset verify a --ohlcv BARS --sample 5", "sample_rows", "--sample"),
        (IMPORT, "targets[0].name", "--target TGT_A"),
        (IMPORT, "targets[1].horizon_bars", "--target TGT_B:500"),
        (IMPORT, "targets.1.name", "--target TGT_B:500"),
        (IMPORT, "targets", "--target"),
        (IMPORT, "slug", "SLUG"),
        (IMPORT, "ohlcv", "--ohlcv"),
        (IMPORT, "ohlcv_zone", "--ohlcv-zone"),
        (IMPORT, "ohlcv_rename[open]", "--ohlcv-rename open"),
        (IMPORT, "metadata[by whom]", "--metadata by whom"),
        (IMPORT, "manifest.columns[3].role", "--manifest columns[3].role"),
        (IMPORT, "Idempotency-Key", "--idempotency-key"),
        (IMPORT, "idempotency_key", "--idempotency-key"),
        (RUN, "dataset", "DATASET"),
        (RUN, "target_column", "--target"),
        (RUN, "feature_columns", "--feature"),
        (RUN, "horizon_bars", "--horizon"),
        (RUN, "walk_config.train_size", "--train-size"),
        (RUN, "hyperparameters.eta", "-P eta"),
        (RUN, "signal_rules.own_long_threshold", "--own-long-threshold"),
        ("run predictions r", "run_id", "RUN"),
        ("simulate r --stop-pct 5", "settings.stop_pct", "--stop-pct"),
        (IMPORT, "zone", "zone"),
        (RUN, "walk_config", "walk_config"),
        (IMPORT, ".", "."),
    ],
)
def test_a_refused_field_is_called_as_it_is_typed(
    command: str, field: str, called: str, bars: str, capfd: pytest.CaptureFixture[str]
) -> None:
    assert refused(command, field, bars=bars) == ExitCode.REFUSED
    assert f"{called} is wrong.\n" == capfd.readouterr().err.splitlines(keepends=True)[-1]


def test_all_refused_fields_are_told_in_one_sentence(
    bars: str, capfd: pytest.CaptureFixture[str]
) -> None:
    assert refused(IMPORT, "symbol", "ohlcv_zone", bars=bars) == ExitCode.REFUSED
    assert "--symbol is wrong; --ohlcv-zone is wrong.\n" in capfd.readouterr().err


def test_what_is_refused_on_the_way_is_called_by_its_option_too(
    capfd: pytest.CaptureFixture[str],
) -> None:
    fields = '[{"field":"version","message":"is 7, and the newest is 2"}]'
    event = f'event: refused\ndata: {{"error":"?","details":{{"fields":{fields}}}}}\n\n'

    def answer(call: Call) -> None:
        call.events(event)

    with answering(answer) as url:
        assert run(["dataset", "verify", "a", "--version", "7", "--url", url]) == ExitCode.INTERNAL
    assert capfd.readouterr().err == "--version is 7, and the newest is 2.\n"
