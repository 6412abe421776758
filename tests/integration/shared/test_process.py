"""What a service says when it cannot start."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest


def started(
    module: str = "services.dataset", **environment: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", module],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=60,
    )


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ({"STAGE1_LISTEN": "0.0.0.0:7401"}, "set STAGE1_SERVICE_TOKEN"),
        ({"STAGE1_LOG_LEVEL": "loud"}, "STAGE1_LOG_LEVEL: Input should be 'debug'"),
        ({"STAGE1_SERVICE_TOKEN_FILE": "/nowhere"}, "/nowhere: No such file"),
    ],
)
def test_a_setting_that_cannot_be_is_one_line(
    environment: dict[str, str], said: str, tmp_path: Path
) -> None:
    done = started(
        **environment, STAGE1_DATA_DIR=str(tmp_path), STAGE1_POSTGRES_DSN="host=/nowhere"
    )
    assert done.returncode == 1
    assert said in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    "module", ["services.dataset", "services.runs", "services.shared.provision"]
)
@pytest.mark.parametrize("password", [{}, {"STAGE1_POSTGRES_PASSWORD": "s3cret"}])
def test_a_malformed_dsn_ends_a_program_at_once_and_is_not_quoted(
    module: str, password: dict[str, str], tmp_path: Path
) -> None:
    done = started(
        module,
        STAGE1_POSTGRES_DSN="postgresql://postgres:s3cret%zz@127.0.0.1/x",
        STAGE1_DATASET_PASSWORD="a",
        STAGE1_RUNS_PASSWORD="b",
        STAGE1_DATA_DIR=str(tmp_path),
        **password,
    )
    assert done.returncode == 1
    assert done.stderr.startswith("STAGE1_POSTGRES_DSN cannot be read as a connection string")
    assert done.stderr.count("\n") == 1
    assert "s3cret" not in done.stderr + done.stdout
