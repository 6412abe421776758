"""`dataset verify` and `fsck`: codes that cron can tell apart."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pytest

from gateway.cli.__main__ import run
from gateway.cli.exit_codes import ExitCode
from tests.unit.cli.scripted_server import Call, answering

FINDING = {"reason": "ROW_COUNT", "message": "9 rows, not 10.", "subject": "a_v1_ohlcv_a1"}
SOUND: dict[str, Any] = {"is_sound": True, "findings": [], "rows": 10, "compared_rows": 0}
SOUND |= {"content_hash": "h", "datasets": 1, "versions": 1, "tables": 2}
UNSOUND = {**SOUND, "is_sound": False, "findings": [FINDING]}


def event(kind: str, data: object) -> str:
    return f"event: {kind}\ndata: {orjson.dumps(data).decode()}\n\n"


PROGRESS = event("progress", {"rows": 5, "total_rows": 10})


@pytest.fixture
def bars(tmp_path: Path) -> Path:
    path = tmp_path / "bars.csv"
    path.write_text("the bars", "utf-8")
    return path


@pytest.mark.parametrize(("found", "code"), [(SOUND, 0), (UNSOUND, 8)])
def test_a_version_that_is_not_as_it_should_be_has_a_code_of_its_own(
    found: dict[str, Any], code: int, bars: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    asked: list[tuple[str, str]] = []

    def answer(call: Call) -> None:
        asked.append((call.path, call.headers["accept"]))
        call.events(PROGRESS + event("report", found))

    with answering(answer) as url:
        arguments = ["dataset", "verify", "a", "--version", "2", "--ohlcv", str(bars)]
        arguments += ["--sample", "5", "--partial"]
        assert run([*arguments, "-o", "json", "--url", url]) == code
    path = "/api/datasets/a/verify?version=2&sample_rows=5&partial=true"
    assert asked == [(path, "text/event-stream")]
    shown = capfd.readouterr()
    assert orjson.loads(shown.out) == found
    assert shown.err == ("1 thing is not as it should be.\n" if code else "")


@pytest.mark.parametrize("option", [["--sample", "5"], ["--partial"]])
def test_what_is_said_of_files_is_refused_without_files(
    option: list[str], capfd: pytest.CaptureFixture[str]
) -> None:
    assert run(["dataset", "verify", "a", *option]) == ExitCode.USAGE
    assert f"'{option[0]}' is about files" in capfd.readouterr().err


@pytest.mark.parametrize("written", ["tab", r"\t", "\t"])
def test_a_tab_can_be_written_as_people_write_it(written: str, bars: Path) -> None:
    sent: list[bytes] = []

    def answer(call: Call) -> None:
        sent.append(call.body)
        call.events(event("report", SOUND))

    with answering(answer) as url:
        arguments = ["dataset", "verify", "a", "--ohlcv", str(bars), "--ohlcv-separator", written]
        assert run([*arguments, "--url", url]) == ExitCode.OK
    assert b'name="ohlcv_separator"\r\n\r\n\t\r\n' in sent[0]


def test_files_go_along_and_say_how_they_are_read(bars: Path) -> None:
    sent: list[bytes] = []

    def answer(call: Call) -> None:
        sent.append(call.body)
        call.events(event("report", SOUND))

    with answering(answer) as url:
        arguments = ["dataset", "verify", "a", "--ohlcv", str(bars), "--ohlcv-zone", "UTC"]
        assert run([*arguments, "--url", url]) == ExitCode.OK
    assert b"the bars" in sent[0]
    assert b'name="ohlcv_zone"' in sent[0]


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (PROGRESS + event("refused", {"error": "The disk is gone."}), ExitCode.INTERNAL),
        (PROGRESS, ExitCode.UNAVAILABLE),
    ],
)
def test_a_verification_that_broke_off_is_no_finding(text: str, code: ExitCode) -> None:
    with answering(lambda call: call.events(text)) as url:
        assert run(["dataset", "verify", "a", "--url", url]) == code


@pytest.mark.parametrize(("found", "code"), [(SOUND, 0), (UNSOUND, 8)])
def test_a_store_that_is_not_as_it_should_be_has_that_code_too(
    found: dict[str, Any], code: int, capfd: pytest.CaptureFixture[str]
) -> None:
    with answering(lambda call: call.json(200, found)) as url:
        assert run(["dataset", "fsck", "--url", url]) == code
    assert ("ROW_COUNT" in capfd.readouterr().out) == bool(code)
