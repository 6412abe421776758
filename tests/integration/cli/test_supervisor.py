"""The supervisor over small scripted processes."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import psycopg
import pytest

from gateway.cli.supervisor import data_folder, health, programs, usage
from gateway.cli.supervisor.child import Child, Program, Surroundings
from gateway.cli.supervisor.data_folder import DataFolder
from gateway.cli.supervisor.postgres import dsn_file
from gateway.cli.supervisor.stack import kept

PATIENCE_SECONDS = 120.0
STEADY = "import time\nwhile True: time.sleep(60)\n"
# Says its own number and that of a process it starts, then stays.
PARENT = """
import os, subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
with open(sys.argv[1] + ".new", "w") as file: file.write(f"{os.getpid()} {child.pid}")
os.rename(sys.argv[1] + ".new", sys.argv[1])
time.sleep(600)
"""


class Scripts:
    """Scripted children, what was said of them, and the log."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.said: list[str] = []
        self._log = (folder / "log").open("ab", buffering=0)
        self._lock = os.open(folder / "lock", os.O_RDWR | os.O_CREAT)

    def child(self, script: str, *arguments: str, grace_seconds: float = 5) -> Child:
        (self.folder / "scripted.py").write_text(textwrap.dedent(script), "utf-8")
        program = Program(
            name="scripted",
            module=("scripted", *arguments),
            environment={**os.environ, "PYTHONPATH": str(self.folder)},
            ready=health.written(self.folder / "pids"),
        )
        return Child(program, self.around(grace_seconds))

    def around(self, grace_seconds: float = 5) -> Surroundings:
        return Surroundings(
            log=self._log, lock=self._lock, say=self.said.append, grace_seconds=grace_seconds
        )

    def close(self) -> None:
        self._log.close()
        os.close(self._lock)


@pytest.fixture
def scripts(tmp_path: Path) -> Iterator[Scripts]:
    found = Scripts(tmp_path)
    yield found
    found.close()


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not condition():  # noqa: ASYNC110 - what is awaited is in another process
            await asyncio.sleep(0.02)


def alive(pid: int) -> bool:
    """Also false for one that has ended and waits to be noticed by its parent."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    stat = Path(f"/proc/{pid}/stat")
    return not stat.exists() or stat.read_text().rpartition(")")[2].split()[0] != "Z"


def pids(folder: Path) -> list[int]:
    return [int(pid) for pid in (folder / "pids").read_text().split()]


async def test_a_child_that_dies_is_started_again(scripts: Scripts) -> None:
    async with kept(scripts.child(STEADY)) as child:
        await until(lambda: child.pid)
        first = child.pid
        assert first is not None
        os.kill(first, signal.SIGKILL)
        await until(lambda: child.pid not in (None, first))
    assert scripts.said == ["scripted was killed by SIGKILL; starting it again in 0.2 s."]


async def test_a_child_that_ends_by_itself_is_reported_with_its_status(scripts: Scripts) -> None:
    async with kept(scripts.child("raise SystemExit(3)")) as child:
        await until(lambda: child.failures > 1)
    assert scripts.said[:2] == [
        "scripted ended with status 3; starting it again in 0.2 s.",
        "scripted ended with status 3; starting it again in 0.4 s.",
    ]


async def test_what_a_child_prints_is_in_the_log(scripts: Scripts) -> None:
    log = scripts.folder / "log"
    async with kept(scripts.child(f"print('hello', flush=True)\n{STEADY}")):
        await until(lambda: log.read_text() == "hello\n")


async def test_a_stopped_child_is_gone_and_not_started_again(scripts: Scripts) -> None:
    async with kept(scripts.child(STEADY)) as child:
        await until(lambda: child.pid)
        pid = child.pid
    assert pid is not None
    assert not alive(pid)
    assert scripts.said == []


async def test_a_child_that_ignores_sigterm_is_killed_after_its_grace(scripts: Scripts) -> None:
    ignoring = f"import signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n{PARENT}"
    pids_file = str(scripts.folder / "pids")
    async with kept(scripts.child(ignoring, pids_file, grace_seconds=0.2)) as child:
        await until(child.ready.is_set)
        parent, grandchild = pids(scripts.folder)
    assert not alive(parent)
    await until(lambda: not alive(grandchild))


async def test_what_a_killed_child_had_started_ends_with_it(scripts: Scripts) -> None:
    async with kept(scripts.child(PARENT, str(scripts.folder / "pids"))) as child:
        await until(child.ready.is_set)
        parent, grandchild = pids(scripts.folder)
        os.kill(parent, signal.SIGKILL)
        await until(lambda: not alive(grandchild))


async def test_children_end_when_the_supervisor_is_killed(tmp_path: Path) -> None:
    (tmp_path / "scripted.py").write_text(PARENT, "utf-8")
    supervisor = supervising(tmp_path)
    await until((tmp_path / "pids").exists)
    family = pids(tmp_path)
    assert all(alive(pid) for pid in family)
    supervisor.kill()
    supervisor.wait()
    await until(lambda: not any(alive(pid) for pid in family))


def supervising(folder: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", SUPERVISOR, str(folder)])


SUPERVISOR = """
import asyncio, os, sys
from pathlib import Path
from gateway.cli.supervisor import health
from gateway.cli.supervisor.child import Child, Program, Surroundings

folder = Path(sys.argv[1])
program = Program(
    name="scripted",
    module=("scripted", str(folder / "pids")),
    environment={**os.environ, "PYTHONPATH": str(folder)},
    ready=health.written(folder / "pids"),
)
lock = os.open(folder / "lock", os.O_RDWR | os.O_CREAT)
around = Surroundings(log=open(folder / "log", "ab"), lock=lock, say=print)
asyncio.run(Child(program, around).keep())
"""


async def test_postgres_killed_with_data_comes_back_with_it(tmp_path: Path) -> None:
    scripts = Scripts(tmp_path)
    async with opened_elsewhere() as folder:
        async with kept(Child(programs.postgres(folder), scripts.around(20))) as child:
            await until(child.ready.is_set)
            dsn = dsn_file(folder.secrets, "administrator").read_text("utf-8")
            with psycopg.connect(dsn) as connection:
                connection.execute("CREATE TABLE kept AS SELECT 7 AS answer")
            server = usage.postmaster(folder.postgres)
            os.kill(server, signal.SIGKILL)
            await until(lambda: answer(dsn) == 7)
            assert usage.postmaster(folder.postgres) != server
        await until(lambda: not (folder.postgres / "postmaster.pid").exists())
    scripts.close()
    assert any(line.startswith("postgres ended with status 1") for line in scripts.said)


@asynccontextmanager
async def opened_elsewhere() -> AsyncIterator[DataFolder]:
    """Not under pytest's folder, which other sessions close to PostgreSQL's own user."""
    with TemporaryDirectory(prefix="stage1-supervised-") as folder:
        async with data_folder.opened(Path(folder) / "data", needed_bytes=0) as opened:
            yield opened


def answer(dsn: str) -> int | None:
    try:
        with psycopg.connect(dsn, connect_timeout=2) as connection:
            row = connection.execute("SELECT answer FROM kept").fetchone()
    except psycopg.OperationalError:
        return None
    return int(row[0]) if row else None


@pytest.mark.skipif(not usage.PROC.exists(), reason="figures are read from /proc")
async def test_usage_counts_a_process_with_all_it_started(scripts: Scripts) -> None:
    async with kept(scripts.child(PARENT, str(scripts.folder / "pids"))) as child:
        await until(child.ready.is_set)
        assert child.pid is not None
        found = usage.by_name({"scripted": child.pid})
    assert found is not None
    assert found["scripted"].processes == 2
    assert found["scripted"].anonymous_bytes > 1 << 20
