from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import orjson
import pytest
from click.testing import CliRunner

from gateway.cli.__main__ import run, stage1
from gateway.cli.exit_codes import MEANINGS, ExitCode
from gateway.cli.uploads import target
from tests.unit.cli.scripted_server import Call, answering

COMMANDS = [
    *("up", "demo", "simulate"),
    *(
        f"dataset {verb}"
        for verb in (
            *("sniff", "import", "append", "adopt", "reexport", "export"),
            *("list", "show", "head", "columns", "gaps", "versions", "imports", "watch"),
            *("update", "delete", "verify", "fsck"),
        )
    ),
    *(
        f"run {verb}"
        for verb in ("plan", "submit", "watch", "cancel", "list", "show", "delete", "predictions")
    ),
    *(f"simulation {verb}" for verb in ("list", "show", "trades", "equity")),
]


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(command: str) -> None:
    result = CliRunner().invoke(stage1, [*command.split(), "--help"])
    assert result.exit_code == 0
    assert "--output" in result.output


def test_every_exit_code_is_documented_in_help() -> None:
    shown = CliRunner().invoke(stage1, ["--help"]).output
    for code in ExitCode:
        assert f"{code.value:>3}  {MEANINGS[code]}" in shown


def test_help_imports_nothing_heavy() -> None:
    script = (
        "import sys\nfrom gateway.cli.__main__ import run\nrun(['--help'])\n"
        "sys.exit(','.join({'httpx', 'rich', 'grpc', 'polars', 'numpy'} & set(sys.modules)) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (400, ExitCode.REFUSED),
        (403, ExitCode.REFUSED),
        (404, ExitCode.NOT_FOUND),
        (409, ExitCode.CONFLICT),
        (413, ExitCode.REFUSED),
        (429, ExitCode.UNAVAILABLE),
        (503, ExitCode.UNAVAILABLE),
        (500, ExitCode.INTERNAL),
    ],
)
def test_a_refusal_is_its_sentence_on_stderr_and_its_code(
    status: int, code: ExitCode, capfd: pytest.CaptureFixture[str]
) -> None:
    body = {"error": "It will not do.", "details": {"reason": "NO"}}
    with answering(lambda call: call.json(status, body)) as url:
        assert run(["run", "show", "seven", "--url", url]) == code
    assert capfd.readouterr() == ("", "It will not do.\n")


def test_a_server_that_is_not_running_is_said_with_the_remedy(
    capfd: pytest.CaptureFixture[str],
) -> None:
    assert run(["dataset", "list", "--url", "http://127.0.0.1:9"]) == ExitCode.UNAVAILABLE
    assert "Nothing answers at http://127.0.0.1:9: run `stage1 up`" in capfd.readouterr().err


def test_an_address_that_is_none_is_a_usage_error(capfd: pytest.CaptureFixture[str]) -> None:
    assert run(["dataset", "list", "--url", "nowhere"]) == ExitCode.USAGE
    assert "'nowhere' is no address" in capfd.readouterr().err


def test_an_unknown_option_is_a_usage_error() -> None:
    assert run(["dataset", "list", "--colour"]) == ExitCode.USAGE


def test_latest_of_nothing_is_not_found(capfd: pytest.CaptureFixture[str]) -> None:
    with answering(lambda call: call.json(200, {"runs": []})) as url:
        assert run(["run", "show", "latest", "--url", url]) == ExitCode.NOT_FOUND
    assert capfd.readouterr().err == "There is no run yet.\n"


def posted_by(*arguments: str) -> dict[str, object]:
    """The body that a command sends."""
    found: list[bytes] = []

    def answer(call: Call) -> None:
        found.append(call.body)
        call.json(400, {"error": "Enough."})

    with answering(answer) as url:
        assert run([*arguments, "--url", url]) == ExitCode.REFUSED
    body: dict[str, object] = orjson.loads(found[0])
    return body


def test_a_plan_asks_for_what_was_given_and_nothing_else() -> None:
    assert posted_by("run", "plan", "eurusd") == {"dataset": "eurusd"}
    options = "--target T --feature A --feature B --train-size 1500 --initial-offset 0 --strict"
    learner = "-P learning_rate=0.05 -P interaction_constraints=[[0,1]]"
    rules = "--own-long-threshold 0 --signals-when-learned-nothing"
    assert posted_by("run", "plan", "eurusd", *f"{options} {learner} {rules}".split()) == {
        "dataset": "eurusd",
        "target_column": "T",
        "feature_columns": ["A", "B"],
        "walk_config": {"train_size": 1500, "initial_offset": 0, "strict": True},
        "hyperparameters": {"learning_rate": "0.05", "interaction_constraints": "[[0,1]]"},
        "signal_rules": {"own_long_threshold": 0, "signals_when_learned_nothing": True},
    }


def test_a_simulation_asks_for_what_was_given_and_nothing_else() -> None:
    assert posted_by("simulate", "seven") == {"run_id": "seven", "settings": {}}
    options = "--threshold own --long-threshold 0 --no-honor-signal-reversal --stop-pct 1.5"
    assert posted_by("simulate", "seven", *options.split())["settings"] == {
        "threshold": "own",
        "long_threshold": 0,
        "honor_signal_reversal": False,
        "stop_pct": 1.5,
    }


@pytest.mark.parametrize("text", ["nan", "inf", "-inf", "1e400"])
@pytest.mark.parametrize(
    "arguments",
    [
        "run submit eurusd --own-long-threshold",
        "run plan eurusd --own-short-threshold",
        *(
            f"simulate seven --{name}"
            for name in (
                *("long-threshold", "short-threshold", "exit-strength", "stop-pct"),
                *("target-pct", "fee-bps", "slippage-bps", "notional"),
            )
        ),
    ],
)
def test_a_number_that_is_not_finite_is_a_usage_error(
    arguments: str, text: str, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run([*arguments.split(), text]) == ExitCode.USAGE
    assert f"{text!r} is not a finite number." in capfd.readouterr().err


def test_targets_may_say_their_horizon() -> None:
    assert target("TGT") == {"name": "TGT"}
    assert target("TGT:6") == {"name": "TGT", "horizon_bars": 6}


@pytest.mark.parametrize("text", ["TGT:", "TGT:x", "TGT:-1", "TGT:" + "9" * 5000])
def test_a_horizon_that_is_no_number_is_refused(text: str, tmp_path: Path) -> None:
    bars = tmp_path / "bars.csv"
    bars.write_text("", "utf-8")
    arguments = ["dataset", "import", "a", "--ohlcv", str(bars), "--symbol", "A", "--target", text]
    assert run(arguments) == ExitCode.USAGE
