from __future__ import annotations

import asyncio
import fcntl
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import get_args

import pytest

from gateway.cli.exit_codes import ExitCode
from gateway.cli.failure import Failure
from gateway.cli.supervisor.data_folder import Series, opened


async def refused(folder: Path, series: Series | None = None, *, needed_bytes: int = 0) -> Failure:
    with pytest.raises(Failure) as caught:
        async with opened(folder, series, needed_bytes=needed_bytes):
            pass
    return caught.value


async def test_a_new_folder_says_its_format_and_its_store(tmp_path: Path) -> None:
    async with opened(tmp_path / "a" / "b", needed_bytes=0) as folder:
        said = json.loads((folder.path / "stage1.json").read_text("utf-8"))
    assert said == {"format": 1, "series_store": "arrow_files"}


async def test_a_folder_can_be_opened_again(tmp_path: Path) -> None:
    for _ in range(2):
        async with opened(tmp_path, needed_bytes=0) as folder:
            assert folder.path == tmp_path


async def test_a_folder_with_other_files_is_foreign_and_stays_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("Dear reader", "utf-8")
    failure = await refused(tmp_path)
    assert failure.code == ExitCode.FOREIGN_DATA
    assert "is not a Stage1 data directory" in str(failure)
    assert os.listdir(tmp_path) == ["letter.txt"]


@pytest.mark.parametrize("text", ["", "{", "[1]", '{"format": "one"}'])
async def test_a_damaged_marker_is_foreign(tmp_path: Path, text: str) -> None:
    (tmp_path / "stage1.json").write_text(text, "utf-8")
    assert (await refused(tmp_path)).code == ExitCode.FOREIGN_DATA


async def test_a_newer_format_is_refused_with_both_numbers(tmp_path: Path) -> None:
    newer = {"format": 2, "series_store": "arrow_files"}
    (tmp_path / "stage1.json").write_text(json.dumps(newer), "utf-8")
    failure = await refused(tmp_path)
    assert failure.code == ExitCode.NEWER_DATA
    assert "data format 2, and this Stage1 reads up to 1" in str(failure)


async def test_an_unknown_series_store_is_refused_by_name(tmp_path: Path) -> None:
    other = {"format": 1, "series_store": "tape"}
    (tmp_path / "stage1.json").write_text(json.dumps(other), "utf-8")
    failure = await refused(tmp_path)
    assert (failure.code, "'tape'" in str(failure)) == (ExitCode.FOREIGN_DATA, True)


@pytest.mark.parametrize("series", get_args(Series))
async def test_a_folder_remembers_its_series_store(tmp_path: Path, series: Series) -> None:
    for wanted in (series, None, series):
        async with opened(tmp_path, wanted, needed_bytes=0) as folder:
            assert folder.series == series
            (tmp_path / "postgres").mkdir(exist_ok=True)


@pytest.mark.parametrize(("kept", "other"), [("arrow", "questdb"), ("questdb", "arrow")])
async def test_the_other_series_store_is_refused_once_there_may_be_data(
    tmp_path: Path, kept: Series, other: Series
) -> None:
    async with opened(tmp_path, kept, needed_bytes=0) as folder:
        folder.postgres.mkdir()
    failure = await refused(tmp_path, other)
    assert failure.code == ExitCode.OTHER_STORE
    assert f"in the store '{kept}', and with --series {other} all of them would" in str(failure)


async def test_the_series_store_of_a_folder_that_was_never_used_can_change(tmp_path: Path) -> None:
    async with opened(tmp_path, "questdb", needed_bytes=0):
        pass
    async with opened(tmp_path, "arrow", needed_bytes=0) as folder:
        assert folder.series == "arrow"
    assert (
        json.loads((tmp_path / "stage1.json").read_text("utf-8"))["series_store"] == "arrow_files"
    )


async def test_a_file_is_no_data_directory(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("", "utf-8")
    failure = await refused(path)
    assert failure.code == ExitCode.FOREIGN_DATA
    assert "cannot be used as a data directory: File exists." in str(failure)


async def test_a_disk_without_room_is_full(tmp_path: Path) -> None:
    failure = await refused(tmp_path, needed_bytes=1 << 60)
    assert failure.code == ExitCode.DISK_FULL
    assert "is full" in str(failure)


async def test_a_second_stage1_is_told_who_has_the_folder(tmp_path: Path) -> None:
    async with opened(tmp_path, needed_bytes=0) as folder:
        folder.announce("http://127.0.0.1:7400")
        failure = await refused(tmp_path)
    assert failure.code == ExitCode.ALREADY_RUNNING
    assert f"at http://127.0.0.1:7400 (process {os.getpid()})" in str(failure)


async def test_what_a_killed_stage1_left_is_waited_for(tmp_path: Path) -> None:
    async with opened(tmp_path, needed_bytes=0):
        pass
    lock = held_for_a_dead_process(tmp_path / "lock")
    asyncio.get_running_loop().call_later(0.2, os.close, lock)
    async with opened(tmp_path, needed_bytes=0) as folder:
        assert folder.path == tmp_path


def held_for_a_dead_process(path: Path) -> int:
    """As a child holds the lock whose supervisor is gone."""
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    lock = os.open(path, os.O_RDWR | os.O_TRUNC)
    fcntl.flock(lock, fcntl.LOCK_EX)
    os.pwrite(lock, json.dumps({"pid": gone.pid}).encode(), 0)
    return lock
