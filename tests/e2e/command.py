"""The `stage1` command as a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import orjson

STAGE1: Final = (sys.executable, "-m", "gateway.cli")


@dataclass(frozen=True)
class Done:
    code: int
    out: str
    err: str


class Command:
    def __init__(self, url: str) -> None:
        self._url = url

    def __call__(self, *arguments: str, folder: Path | None = None) -> Done:
        done = subprocess.run(
            [*STAGE1, *arguments],
            env={**os.environ, "STAGE1_URL": self._url},
            cwd=folder,
            capture_output=True,
            text=True,
        )
        return Done(done.returncode, done.stdout, done.stderr)

    def json(self, *arguments: str) -> Any:
        """What `-o json` prints, of a command that must succeed."""
        done = self(*arguments, "-o", "json")
        assert done.code == 0, done.err
        return orjson.loads(done.out)
