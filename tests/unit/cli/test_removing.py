"""Deleting asks first, of somebody who can answer, and only about what is there."""

from __future__ import annotations

import io

import pytest

from gateway.cli.__main__ import run
from gateway.cli.exit_codes import ExitCode
from tests.unit.cli.scripted_server import Call, answering

REMOVALS = ["dataset delete seven", "run delete seven"]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("removal", REMOVALS)
def test_where_nobody_can_answer_yes_has_to_be_given(
    removal: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO())
    assert run(removal.split()) == ExitCode.USAGE
    assert "nobody can answer here: give --yes." in capfd.readouterr().err


@pytest.mark.parametrize("removal", REMOVALS)
def test_what_is_not_there_is_not_asked_about(
    removal: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdin", Terminal("y\n"))
    with answering(lambda call: call.json(404, {"error": "There is no seven."})) as url:
        assert run([*removal.split(), "--url", url]) == ExitCode.NOT_FOUND
    assert capfd.readouterr().err == "There is no seven.\n"


@pytest.mark.parametrize("removal", REMOVALS)
@pytest.mark.parametrize(
    ("typed", "asked", "code"),
    [("y", ["GET", "DELETE"], ExitCode.OK), ("n", ["GET"], ExitCode.INTERRUPTED)],
)
def test_what_is_there_is_removed_once_it_is_confirmed(
    removal: str, typed: str, asked: list[str], code: ExitCode, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", Terminal(f"{typed}\n"))
    methods: list[str] = []

    def answer(call: Call) -> None:
        methods.append(call.command)
        call.json(200, {})

    with answering(answer) as url:
        assert run([*removal.split(), "--url", url]) == code
    assert methods == asked
