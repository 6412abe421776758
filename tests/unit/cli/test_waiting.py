"""What a watch says of something that stays queued."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from gateway.cli import output, waiting
from gateway.cli.__main__ import run
from gateway.cli.exit_codes import ExitCode
from gateway.cli.waiting import why
from tests.unit.cli.scripted_server import Call, answering
from tests.unit.cli.test_events import state

TRAINER = {"kind": "trainer", "device": "cpu", "slots": 1, "busy": 0}
BUSY = {**TRAINER, "busy": 1}
CUDA = {**TRAINER, "device": "cuda"}
SIMULATOR = {**TRAINER, "kind": "simulator"}


@pytest.mark.parametrize(
    ("workers", "device", "said"),
    [
        ([], "", "no trainer is registered"),
        ([SIMULATOR], "cuda", "no trainer is registered"),
        ([TRAINER], "cuda", "no registered trainer has cuda"),
        ([BUSY, SIMULATOR], "", "every trainer is busy"),
        ([TRAINER, {**CUDA, "busy": 1}], "cuda", "every trainer is busy"),
        ([BUSY], None, "every trainer is busy"),
        ([TRAINER], None, "no free trainer takes it; it may ask for a device that none has"),
        ([CUDA, BUSY], "", "a trainer is free and has not taken it yet"),
    ],
)
def test_the_workers_tell_why_a_run_waits(
    workers: list[dict[str, Any]], device: str | None, said: str
) -> None:
    assert why(workers, "trainer", device) == said


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("run submit a --watch --device cuda", "Waiting: no registered trainer has cuda."),
        ("run submit a --watch", "Waiting: a trainer is free and has not taken it yet."),
        ("simulate seven", "Waiting: no simulator is registered."),
    ],
)
def test_what_stays_queued_says_what_it_waits_for(
    arguments: str, said: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(waiting, "QUEUED_SECONDS", 0.0)
    noted = threading.Event()
    note = output.note

    def note_and_tell(sentence: str) -> None:
        note(sentence)
        if sentence.startswith("Waiting"):
            noted.set()

    monkeypatch.setattr(output, "note", note_and_tell)

    def answer(call: Call) -> None:
        if call.path.endswith("/events"):
            call.events(state("QUEUED", 1))
            assert noted.wait(30)
            call.wfile.write(state("CANCELLED", 2).encode())
        elif call.path == "/api/workers":
            call.json(200, {"workers": [TRAINER]})
        elif call.command == "POST":
            call.json(202, {"run_id": "seven", "simulation_id": "seven"})
        else:
            call.json(500, {"error": "Enough."})

    with answering(answer) as url:
        assert run([*arguments.split(), "--url", url]) == ExitCode.INTERNAL
    assert said in capfd.readouterr().err.splitlines()


def test_what_is_taken_soon_says_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    asked: list[str] = []

    def answer(call: Call) -> None:
        asked.append(call.path)
        if call.path.endswith("/events"):
            call.events(state("QUEUED", 1) + state("RUNNING", 2) + state("CANCELLED", 3))
        else:
            call.json(500, {"error": "Enough."})

    with answering(answer) as url:
        assert run(["run", "watch", "seven", "--url", url]) == ExitCode.INTERNAL
    assert asked == ["/api/runs/seven/events", "/api/runs/seven"]
