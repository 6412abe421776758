"""Ctrl-C, while the server is at work."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Final

import pytest

from tests.unit.cli.scripted_server import Call, answering

# Ctrl-C is ignored by what a session in the background starts.
_INTERRUPTIBLE: Final = """
import runpy, signal
signal.signal(signal.SIGINT, signal.default_int_handler)
runpy.run_module("gateway.cli", run_name="__main__", alter_sys=True)
"""


def interrupted(url: str, asked: threading.Event, *arguments: str) -> tuple[int, str]:
    """How a command ends, and what it says, when Ctrl-C comes once `asked` is set."""
    with subprocess.Popen(
        [sys.executable, "-c", _INTERRUPTIBLE, *arguments, "--url", url],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as command:
        assert asked.wait(60)
        command.send_signal(signal.SIGINT)
        return command.wait(60), command.stderr.read() if command.stderr else ""


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (
            ["dataset", "import", "a", "--symbol", "A", "--ohlcv", "bars"],
            "`stage1 dataset imports` shows what became of it.",
        ),
        (
            ["run", "submit", "a", "--watch"],
            "The run goes on: `stage1 run watch seven` follows it, "
            "`stage1 run cancel seven` ends it.",
        ),
        (["run", "watch", "seven"], "The run goes on: `stage1 run watch seven` follows it"),
        (["simulate", "one"], "goes on: `stage1 simulation show seven` shows it."),
    ],
)
def test_ctrl_c_says_what_goes_on(arguments: list[str], said: str, tmp_path: Path) -> None:
    bars = tmp_path / "bars.csv"
    bars.write_text("x", "utf-8")
    given = [str(bars) if text == "bars" else text for text in arguments]
    asked, over = threading.Event(), threading.Event()

    def answer(call: Call) -> None:
        if call.command == "POST" and "dataset" not in call.path:
            call.json(202, {"run_id": "seven", "simulation_id": "seven"})
        else:
            asked.set()
            over.wait(60)

    with answering(answer) as url:
        try:
            code, told = interrupted(url, asked, *given)
        finally:
            over.set()
    assert code == 130
    assert said in told
