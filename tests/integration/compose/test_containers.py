"""Every container of docker-compose.yml as a process: its command, environment and healthcheck.

What differs from a container: host names and ports, the folders, PostgreSQL (the embedded one,
through its socket) and the Java that runs QuestDB. There is no container engine here.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import httpx
import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from services.shared import embedded, questdb_server
from services.shared.questdb_server import free_port
from tests.deployment import ROOT, compose, stages

COMPOSE: Final = compose()["services"]
STAGES: Final = stages()
PROCESSES: Final = ("dataset", "runs", "trainer", "simulator", "gateway")
PATIENCE_SECONDS: Final = 120.0
HOST: Final = "127.0.0.1"
BARS: Final = ROOT / "examples" / "eurusd_1h_2017_ask.csv"


@dataclass
class House:
    """Containers as processes, in one folder."""

    folder: Path
    socket: str = ""
    ports: dict[str, int] = field(default_factory=dict)

    def local(self, text: str, name: str) -> str:
        """Names, ports and folders of containers as they are on this machine."""
        for inside in ("/data", "/scratch", "/tmp"):
            text = re.sub(rf"^{inside}\b", f"{self.folder}/{name}{inside}", text)
        text = re.sub(r"@postgres:5432/(\w+)", rf"@/\1?host={self.socket}", text)
        text = re.sub(r"[\w.-]+:(\d{4})\b", lambda m: self._address(m[1]), text)
        text = re.sub(
            r"/dev/tcp/127\.0\.0\.1/(\d+)", rf"/dev/tcp/{HOST}/{self._port('9003')}", text
        )
        return text.replace("/run/secrets/", f"{self.folder}/secrets/")

    def _address(self, port: str) -> str:
        return f"{HOST}:{self._port(port)}"

    def _port(self, port: str) -> int:
        return self.ports.setdefault(port, free_port())

    def environment(self, name: str) -> dict[str, str]:
        service = COMPOSE[name]
        image = STAGES[service["build"]["target"]].environment if "build" in service else {}
        told = {n: self.local(v, name) for n, v in {**image, **service["environment"]}.items()}
        if "STAGE1_WORKER_HOSTS" in told:
            told["STAGE1_WORKER_HOSTS"] = json.dumps([HOST])
        inherited = {n: v for n, v in os.environ.items() if not n.startswith("STAGE1_")}
        return {**inherited, **told, "PATH": os.environ["PATH"]}

    def command(self, name: str) -> list[str]:
        stage = STAGES[COMPOSE[name]["build"]["target"]]
        assert stage.command[0] == "python"
        return [sys.executable, *stage.command[1:]]

    def healthy(self, name: str) -> bool:
        """What the container engine would be told."""
        kind, *test = COMPOSE[name]["healthcheck"]["test"]
        assert kind == "CMD"
        words = [self.local(word.replace("$$", "$"), name) for word in test]
        words[0] = sys.executable if words[0] == "python" else words[0]
        done = subprocess.run(words, env=self.environment(name), capture_output=True, timeout=60)
        return done.returncode == 0


@contextmanager
def process(house: House, name: str, command: list[str]) -> Iterator[None]:
    for inside in ("data", "scratch", "tmp"):
        (house.folder / name / inside).mkdir(parents=True)
    with (house.folder / f"{name}.log").open("wb") as log:
        running = subprocess.Popen(
            command,
            env=house.environment(name),
            cwd=house.folder / name / "data",
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    try:
        yield
        assert running.poll() is None, log_of(house, name)
    finally:
        running.terminate()
        running.wait(60)


def log_of(house: House, name: str) -> str:
    return (house.folder / f"{name}.log").read_text("utf-8", "replace")[-4000:]


@contextmanager
def postgres(house: House) -> Iterator[None]:
    """As the image leaves it: a password for everybody, the database made."""
    environment = COMPOSE["postgres"]["environment"]
    password = house.local(environment["POSTGRES_PASSWORD_FILE"], "postgres")
    folder = house.folder / "postgres"
    with embedded.postgres(folder, password=Path(password).read_text("utf-8")) as server:
        with psycopg.connect(server.dsn, autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {environment['POSTGRES_DB']}".encode())
        house.socket = str(conninfo_to_dict(server.dsn)["host"])
        yield


@pytest.fixture(scope="module")
def house() -> Iterator[House]:
    """Not under pytest's folder, which other sessions close to PostgreSQL's own user."""
    with TemporaryDirectory(prefix="stage1-compose-") as path, ExitStack() as stack:
        found = House(Path(path))
        make_secrets(found.folder)
        stack.enter_context(postgres(found))
        command = questdb_server.command(found.folder / "questdb" / "data")
        stack.enter_context(process(found, "questdb", command))
        provisioned(found)
        wait_until_healthy(found, "questdb")
        for name in PROCESSES:
            stack.enter_context(process(found, name, found.command(name)))
            wait_until_healthy(found, name)
        yield found


def make_secrets(folder: Path) -> None:
    command = ["make", "-s", "-f", str(ROOT / "Makefile"), "secrets"]
    subprocess.run(command, cwd=folder, check=True)


def provisioned(house: House) -> None:
    """Twice: a one-shot container runs at every `up`."""
    for _ in range(2):
        done = subprocess.run(
            house.command("provision"),
            env=house.environment("provision"),
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr


def wait_until_healthy(house: House, name: str) -> None:
    until = time.monotonic() + PATIENCE_SECONDS
    while not house.healthy(name):
        if time.monotonic() > until:
            pytest.fail(f"{name} is not healthy:\n{log_of(house, name)}")
        time.sleep(0.2)


@pytest.fixture(scope="module")
def client(house: House) -> Iterator[httpx.Client]:
    url = f"http://{HOST}:{house.ports['7400']}"
    with httpx.Client(base_url=url, timeout=60, trust_env=False) as opened:
        yield opened


@pytest.mark.timeout(600)
def test_every_container_runs_and_is_healthy(client: httpx.Client) -> None:
    found: Mapping[str, Any] = client.get("/healthz").json()
    assert found["status"] == "ok", found
    assert (found["trainers"], found["simulators"]) == (1, 1)


def test_the_services_of_the_containers_keep_data_under_their_own_roles(
    client: httpx.Client, house: House
) -> None:
    assert client.get("/api/datasets").json()["count"] == 0
    assert client.get("/api/runs").json()["count"] == 0
    password = (house.folder / "secrets" / "postgres_password").read_text("utf-8")
    dsn = house.local("postgresql://postgres@postgres:5432/stage1", "postgres")
    with psycopg.connect(dsn, password=password) as connection:
        owners = connection.execute(
            "SELECT schemaname, array_agg(DISTINCT tableowner) FROM pg_tables"
            " WHERE schemaname IN ('dataset', 'runs') GROUP BY 1 ORDER BY 1"
        ).fetchall()
    assert owners == [("dataset", ["stage1_dataset"]), ("runs", ["stage1_runs"])]


def test_bars_go_into_the_questdb_of_the_containers(client: httpx.Client, house: House) -> None:
    fields = {"slug": "eurusd", "symbol": "EURUSD", "granularity": "1h", "calendar": "24x5_fx"}
    with BARS.open("rb") as file:
        answer = client.post("/api/datasets", data=fields, files={"ohlcv": file})
    assert answer.status_code == 201, answer.text
    table = answer.json()["ohlcv_measurement"]
    password = (house.folder / "secrets" / "questdb_password").read_text("utf-8")
    counted = httpx.get(
        f"http://{HOST}:{house.ports['9000']}/exec",
        params={"query": f'select count() from "{table}"'},
        auth=httpx.BasicAuth(COMPOSE["questdb"]["environment"]["QDB_HTTP_USER"], password),
        trust_env=False,
    )
    assert counted.json()["dataset"] == [[6225]]


def test_a_healthcheck_fails_where_nothing_answers(house: House) -> None:
    for name in ("questdb", *PROCESSES):
        lonely = House(house.folder)
        assert not lonely.healthy(name)
