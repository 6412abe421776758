"""The stores of one data directory: who may enter them, and that they come back."""

from __future__ import annotations

import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx
import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.errors import InsufficientPrivilege

from gateway.cli.exit_codes import ExitCode
from gateway.cli.failure import Failure
from gateway.cli.supervisor import data_folder, ports, programs, questdb, secret_files, usage
from gateway.cli.supervisor.child import Child, Program, Surroundings
from gateway.cli.supervisor.data_folder import DataFolder
from gateway.cli.supervisor.ports import Ports
from gateway.cli.supervisor.postgres import dsn_file
from gateway.cli.supervisor.stack import kept
from services.shared import embedded, questdb_jar, questdb_server
from services.shared.provision import SCHEMAS
from tests.integration.cli.test_supervisor import until


@pytest.fixture
async def folder() -> AsyncIterator[DataFolder]:
    """Not under pytest's folder, which other sessions close to PostgreSQL's own user."""
    with TemporaryDirectory(prefix="stage1-stores-") as path:
        async with data_folder.opened(Path(path) / "data", "questdb", needed_bytes=0) as opened:
            yield opened


@asynccontextmanager
async def running(folder: DataFolder, program: Program) -> AsyncIterator[Child]:
    folder.forget_addresses()
    with folder.log.open("ab", buffering=0) as log:
        around = Surroundings(log=log, lock=folder.lock, say=print)
        async with kept(Child(program, around)) as child:
            await until(child.ready.is_set)
            yield child


def dsn(folder: DataFolder, name: str) -> str:
    return dsn_file(folder.secrets, name).read_text("utf-8")


def refused(conninfo: str, because: str) -> None:
    with pytest.raises(psycopg.OperationalError, match=because):
        psycopg.connect(conninfo).close()


async def test_nobody_enters_postgres_without_the_password_of_his_role(folder: DataFolder) -> None:
    async with running(folder, programs.postgres(folder)):
        for name in (*SCHEMAS, "administrator"):
            psycopg.connect(dsn(folder, name)).close()
            refused(make_conninfo(dsn(folder, name), password="guessed"), "password")
        of_dataset = conninfo_to_dict(dsn(folder, "dataset"))["password"]
        refused(make_conninfo(dsn(folder, "runs"), password=of_dataset), "password")
        with psycopg.connect(dsn(folder, "runs")) as connection:
            connection.execute("CREATE TABLE runs.mine (x integer)")
            with pytest.raises(InsufficientPrivilege):
                connection.execute("CREATE TABLE dataset.mine (x integer)")


async def test_secrets_are_readable_by_their_owner_only_and_stay(folder: DataFolder) -> None:
    found = []
    for _ in range(2):
        async with running(folder, programs.postgres(folder)):
            found.append({file.name: file.read_text() for file in folder.secrets.iterdir()})
            modes = {file.stat().st_mode & 0o777 for file in folder.secrets.iterdir()}
            assert (modes, folder.secrets.stat().st_mode & 0o777) == ({0o600}, 0o700)
    assert found[0] == found[1]
    assert set(found[0]) == {
        *("postgres_password", "dataset_password", "runs_password"),
        *("administrator.dsn", "dataset.dsn", "runs.dsn"),
    }


async def test_a_folder_of_an_earlier_stage1_is_taken_over(folder: DataFolder) -> None:
    with embedded.postgres(folder.postgres) as server, psycopg.connect(server.dsn) as connection:
        connection.execute("CREATE SCHEMA runs; CREATE TABLE runs.kept AS SELECT 7 AS answer")
    async with running(folder, programs.postgres(folder)):
        with psycopg.connect(dsn(folder, "runs")) as connection:
            connection.execute("ALTER TABLE runs.kept ADD COLUMN more integer")
            assert connection.execute("SELECT answer FROM runs.kept").fetchone() == (7,)
        refused(make_conninfo(dsn(folder, "administrator"), password=""), "password")


async def test_lost_secrets_are_made_anew(folder: DataFolder) -> None:
    async with running(folder, programs.postgres(folder)):
        before = dsn(folder, "runs")
    for file in folder.secrets.iterdir():
        file.unlink()
    async with running(folder, programs.postgres(folder)):
        psycopg.connect(dsn(folder, "runs")).close()
        refused(before, "password")


@pytest.fixture
def free() -> Ports:
    return ports.free()


def query(url: str, text: str, password: str | None) -> httpx.Response:
    auth = httpx.BasicAuth(questdb.USER, password) if password else None
    return httpx.get(f"{url}/exec", params={"query": text}, auth=auth, trust_env=False)


@pytest.mark.skipif(not usage.PROC.exists(), reason="the server is found in /proc")
async def test_questdb_killed_with_data_comes_back_with_it(folder: DataFolder, free: Ports) -> None:
    [program] = programs.series_server(folder, free)
    password = secret_files.password(folder.secrets, questdb.PASSWORD)
    url = questdb_server.url_of(free.questdb)
    async with running(folder, program) as child:
        assert query(url, "create table kept as (select 7 answer)", password).is_success
        server = java(child)
        os.kill(server, signal.SIGKILL)
        await until(lambda: child.pid and java(child) not in (0, server))
        await until(child.ready.is_set)
        assert query(url, "select answer from kept", password).json()["dataset"] == [[7]]
        last = java(child)
    assert not (usage.PROC / str(last)).exists()


def java(child: Child) -> int:
    """The server's own process."""
    for folder in usage.PROC.glob("[0-9]*"):
        with suppress(OSError):  # it ended meanwhile
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
            if int(fields[1]) == child.pid:
                return int(folder.name)
    return 0


@pytest.mark.parametrize("password", [None, "guessed"])
async def test_questdb_refuses_whoever_does_not_know_its_password(
    folder: DataFolder, free: Ports, password: str | None
) -> None:
    [program] = programs.series_server(folder, free)
    async with running(folder, program):
        url = questdb_server.url_of(free.questdb)
        assert query(url, "drop table kept", password).status_code == 401


async def test_a_machine_that_cannot_load_questdb_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def unavailable() -> Path:
        raise questdb_jar.JarUnavailable("The jar could not be loaded.")

    said: list[str] = []
    monkeypatch.setattr(questdb_jar, "jar", unavailable)
    monkeypatch.setattr(questdb_jar, "path", lambda: Path("/nowhere"))
    with pytest.raises(Failure, match=r"The jar could not be loaded\.") as caught:
        await questdb.load(said.append)
    assert caught.value.code == ExitCode.NOT_LOADED
    assert said == ["Loading QuestDB 9.3.4 (30 MB, this once)."]
