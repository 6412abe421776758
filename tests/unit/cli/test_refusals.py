"""Refusals speak of what was typed, not of the fields that commands make of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.cli.__main__ import run
from gateway.cli.exit_codes import ExitCode
from tests.unit.cli.scripted_server import Call, answering

IMPORT = "dataset import a --symbol X --ohlcv BARS --target TGT_A --target TGT_B:500"
RUN = "run plan a --target TGT -P eta=2 --train-size 5"

RUN_ID = "00000000-0000-0000-0000-000000000007"


@pytest.fixture
def bars(tmp_path: Path) -> str:
    path = tmp_path / "bars.csv"
    path.write_text("x", "utf-8")
    return str(path)


def refused(command: str, *fields: str, bars: str, message: str = "is wrong") -> int:
    violations = [{"field": field, "message": message} for field in fields]
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
        (RUN, "walk_config", "The plan"),
        (IMPORT, "ohlcv_columns", "The columns of --ohlcv"),
        (IMPORT, "indicators_columns", "The columns of --indicators"),
        ("dataset sniff BARS", "columns", "The columns of FILE"),
        ("dataset head a", "walk_config", "walk_config"),
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


@pytest.mark.parametrize(
    ("command", "field", "message", "told"),
    [
        (RUN, "target_column", "name 'N', which is text", "--target names 'N', which is text."),
        (RUN, "feature_columns", "contain 'T' more than once", "--feature contains 'T' more"),
        (RUN, "feature_columns", "are missing: none is", "--feature is missing: none is."),
        (RUN, "walk_config", "need 9 rows; test_size 2", "The plan needs 9 rows; --test-size 2."),
        (RUN, "end_fold", "must lie above start_fold, which", "must lie above --start-fold, which"),
        (RUN, "target_column", "name 'train_size', no", "--target names 'train_size', no."),
        (IMPORT, "ohlcv_columns", "name 'a' twice", "The columns of --ohlcv name 'a' twice."),
        (IMPORT, "targets[1].name", "is 'TGT_B', which is text", "--target TGT_B:500 is text."),
        (IMPORT, "slug", "is 'x', which is not y", "SLUG is 'x', which is not y."),
        (
            "simulate r",
            "settings.threshold",
            "is OWN, and needs a long_threshold",
            "--threshold is own, and needs a --long-threshold.",
        ),
        ("simulate r", "settings.trailing_stop", "needs a stop_pct", "needs a --stop-pct."),
        (RUN, "target_column", "is OWN of stop_pct", "--target is OWN of stop_pct."),
    ],
)
def test_a_refusal_reads_as_a_sentence_about_options(
    command: str, field: str, message: str, told: str, bars: str, capfd: pytest.CaptureFixture[str]
) -> None:
    with_run = command.replace("simulate r", f"simulate {RUN_ID}")
    assert refused(with_run, field, bars=bars, message=message) == ExitCode.REFUSED
    assert told in capfd.readouterr().err


def test_a_refusal_of_no_field_names_options_too(
    bars: str, capfd: pytest.CaptureFixture[str]
) -> None:
    body = {"error": "Give its dataset_id for a new version.", "details": {}}
    arguments = [bars if word == "BARS" else word for word in IMPORT.split()]
    with answering(lambda call: call.json(409, body)) as url:
        run([*arguments, "--url", url])
    assert "Give its --dataset-id for a new version.\n" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("kept", "told"),
    [
        ("header.granularity is 1h, not 5m.", "--granularity is 1h, not 5m."),
        ("header.granularity of dataset a is 1h.", "--granularity of dataset a is 1h."),
        ("header.targets[0].name is 'm', which is text.", "--target is 'm', which is text."),
        (
            "ohlcv.text_columns names 'z'; ohlcv.columns name 'a' twice.",
            "--ohlcv-text-columns names 'z'; The columns of --ohlcv name 'a' twice.",
        ),
        ("header.parts[1] has no bytes.", "--indicators has no bytes."),
        ("header.expected.ohlcv_rows is 5.", "--manifest ohlcv_rows is 5."),
        ("The series store is away.", "The series store is away."),
    ],
)
def test_what_is_kept_of_a_refused_import_is_told_in_options_but_not_as_json(
    kept: str, told: str, capfd: pytest.CaptureFixture[str]
) -> None:
    one = {
        "import_id": "i",
        "dataset_slug": "a",
        "status": "REJECTED",
        "version": None,
        "kind": "import",
        "created_at": "2026-01-01T00:00:00Z",
        "error": kept,
    }
    listed = {"imports": [one], "next_page_token": ""}

    def answer(call: Call) -> None:
        call.json(200, one if call.path.startswith("/api/imports/") else listed)

    with answering(answer) as url:
        for arguments in (["imports"], ["imports", "i"]):
            assert run(["dataset", *arguments, "--url", url]) == ExitCode.OK
            assert told in capfd.readouterr().out
            assert run(["dataset", *arguments, "-o", "json", "--url", url]) == ExitCode.OK
            assert kept in capfd.readouterr().out
