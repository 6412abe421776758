"""`stage1 up`: its refusals, its end, and what is left when it is killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from gateway.cli.exit_codes import ExitCode
from gateway.cli.supervisor import ports, usage
from gateway.cli.supervisor.stack import Stack
from tests.e2e.command import STAGE1, Command, Done
from tests.e2e.conftest import BARS, data_folder


def refused(command: Command, folder: Path, *arguments: str) -> Done:
    done = command("up", "--data-dir", str(folder), *arguments)
    assert done.out == ""
    assert done.err.count("\n") == 1, done.err
    return done


def test_a_second_stage1_on_the_same_data_is_sent_to_the_first(
    stage1: Stack, command: Command
) -> None:
    done = refused(command, stage1.folder.path)
    assert done.code == ExitCode.ALREADY_RUNNING
    assert f"is already running on {stage1.folder.path} at {stage1.ports.url}" in done.err


def test_a_taken_port_is_named(stage1: Stack, command: Command, tmp_path: Path) -> None:
    done = refused(command, tmp_path / "data", "--port-base", str(stage1.ports.gateway))
    assert done.code == ExitCode.PORT_TAKEN
    assert f"port {stage1.ports.gateway}" in done.err


def test_a_foreign_directory_is_left_alone(command: Command, tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("Dear reader", "utf-8")
    done = refused(command, tmp_path)
    assert done.code == ExitCode.FOREIGN_DATA
    assert os.listdir(tmp_path) == ["letter.txt"]


def test_data_of_a_newer_stage1_is_refused(command: Command, tmp_path: Path) -> None:
    newer = {"format": 99, "series_store": "arrow_files"}
    (tmp_path / "stage1.json").write_text(json.dumps(newer), "utf-8")
    assert refused(command, tmp_path).code == ExitCode.NEWER_DATA


def test_the_other_series_store_is_refused(stage1: Stack, command: Command) -> None:
    done = refused(command, stage1.folder.path, "--series", "questdb")
    assert done.code == ExitCode.OTHER_STORE
    assert "with --series questdb all of them would seem lost" in done.err


def test_a_full_disk_is_said(command: Command, tmp_path: Path) -> None:
    mount = ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(tmp_path)]
    try:
        mounted = subprocess.run(mount, capture_output=True)
    except FileNotFoundError:
        pytest.skip("there is no mount here")
    if mounted.returncode:
        pytest.skip("only root may mount a small disk")
    try:
        done = refused(command, tmp_path / "data")
    finally:
        subprocess.run(["umount", str(tmp_path)], check=True)
    assert done.code == ExitCode.DISK_FULL
    assert "is full" in done.err


@contextmanager
def up(folder: Path) -> Iterator[tuple[subprocess.Popen[str], Any]]:
    """The command and what it says of itself; killed when the block ends."""
    base = ports.free().gateway
    process = subprocess.Popen(
        [*STAGE1, "up", "--data-dir", str(folder), "--port-base", str(base), "-o", "json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        assert process.stdout is not None
        yield process, json.loads("".join(iter(process.stdout.readline, "}\n")) + "}")
    finally:
        process.kill()
        process.communicate()


def family(described: Any, folder: Path) -> list[int]:
    pids = [process["pid"] for process in described["processes"]]
    return [*pids, usage.postmaster(folder / "postgres")]


def wait_until_gone(pids: list[int]) -> None:
    deadline = time.monotonic() + 30
    while any(map(alive, pids)):
        assert time.monotonic() < deadline, "children outlive the supervisor"
        time.sleep(0.05)


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.timeout(600)
def test_nothing_outlives_a_killed_supervisor_and_data_stays() -> None:
    with data_folder() as folder:
        kill_and_come_back(folder)


def kill_and_come_back(folder: Path) -> None:
    with up(folder) as (process, described):
        first = Command(described["url"])
        arguments = ("--symbol", "EURUSD", "--granularity", "1h", "--calendar", "24x5_fx")
        first.json("dataset", "import", "kept", "--ohlcv", str(BARS), *arguments)
        pids = family(described, folder)
        process.kill()
        process.wait()
        wait_until_gone(pids)
    with up(folder) as (process, described):
        [found] = Command(described["url"]).json("dataset", "list")["datasets"]
        assert (found["dataset_slug"], found["ohlcv_row_count"]) == ("kept", 6225)
        pids = family(described, folder)
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
        wait_until_gone(pids)
