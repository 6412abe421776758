"""What the README says about the first data set of one's own, done as it says."""

from __future__ import annotations

import re
import shlex
import shutil
from pathlib import Path

import pytest

from tests.e2e.command import Command
from tests.e2e.conftest import BARS, INDICATORS, REPOSITORY


def commands() -> list[list[str]]:
    """Those between the markers, without `stage1` and the folder it is in."""
    text = (REPOSITORY / "README.md").read_text("utf-8")
    found = re.search(r"<!-- own-data -->(.*?)<!-- /own-data -->", text, re.DOTALL)
    assert found, "README.md has no block between <!-- own-data --> and <!-- /own-data -->."
    block = found[1].replace("\\\n", " ")
    words = [shlex.split(line, comments=True) for line in block.splitlines()]
    return [line[1:] for line in words if line and Path(line[0]).name == "stage1"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """With the files that the README's commands name."""
    shutil.copy(BARS, tmp_path / "bars.csv")
    shutil.copy(INDICATORS, tmp_path / "indicators.txt")
    return tmp_path


def test_the_three_commands_of_the_readme_work(command: Command, folder: Path) -> None:
    found = commands()
    assert [arguments[0] for arguments in found] == ["dataset", "run", "simulate"]
    for arguments in found:
        done = command(*arguments, folder=folder)
        assert done.code == 0, done.err
    assert "buy & hold" in done.out
