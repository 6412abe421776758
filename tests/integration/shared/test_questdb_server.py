from __future__ import annotations

import os
from pathlib import Path

import httpx
import pytest

from services.shared import questdb_jar
from services.shared.questdb_jar import JarDiffers, jar
from services.shared.questdb_server import Server, answers, environment, free_port, url_of


def ask(url: str, query: str) -> list[list[object]]:
    reply = httpx.get(f"{url}/exec", params={"query": query}, trust_env=False)
    rows: list[list[object]] = reply.raise_for_status().json().get("dataset", [])
    return rows


def test_it_is_the_pinned_version_with_commits_that_survive_power_loss(questdb_server: str) -> None:
    assert "9.3.4" in str(ask(questdb_server, "select build()"))
    settings = ask(questdb_server, "select property_path, value from (show parameters)")
    shown = {str(name): value for name, value in settings}
    assert shown["cairo.commit.mode"] == "sync"
    assert shown["telemetry.enabled"] == "false"


async def test_it_answers_while_it_runs_and_keeps_its_rows(own_questdb: Server) -> None:
    ask(own_questdb.url, "create table t (x long)")
    ask(own_questdb.url, "insert into t values (42)")
    own_questdb.kill()
    assert not await answers(own_questdb.url)
    own_questdb.start()
    assert await answers(own_questdb.url)
    assert ask(own_questdb.url, "select x from t") == [[42]]


def test_it_listens_on_one_port_of_loopback_only(own_questdb: Server) -> None:
    own = {os.readlink(f) for f in Path(f"/proc/{own_questdb.pid}/fd").iterdir() if f.is_symlink()}
    lines = [
        line.split()
        for kind in ("tcp", "tcp6", "udp", "udp6")
        for line in Path(f"/proc/net/{kind}").read_text("ascii").splitlines()[1:]
    ]
    listening = [
        line[1] for line in lines if f"socket:[{line[9]}]" in own and line[3] in ("0A", "07")
    ]
    port = int(own_questdb.url.rpartition(":")[2])
    assert listening == [f"0100007F:{port:04X}"]


async def test_nothing_answers_where_nothing_runs() -> None:
    assert not await answers(url_of(free_port()))


def test_a_user_is_asked_for_where_one_is_set() -> None:
    assert environment(1, user="reader", password="x")["QDB_HTTP_USER"] == "reader"
    assert "QDB_HTTP_USER" not in environment(1)


def test_a_program_with_another_checksum_is_refused(tmp_path: Path) -> None:
    with pytest.raises(JarDiffers, match="it is not used"):
        jar(tmp_path, sha256="0" * 64)
    assert list(tmp_path.iterdir()) == []


def test_a_program_that_cannot_be_loaded_is_said_with_the_place_it_is_looked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def offline(*_: object) -> object:
        raise OSError("no network")

    monkeypatch.setattr("jgo.maven.MavenContext.project", offline)
    with pytest.raises(questdb_jar.JarUnavailable) as caught:
        jar(tmp_path)
    assert f"org.questdb:questdb:{questdb_jar.VERSION}" in str(caught.value)
    assert str(tmp_path / f"questdb-{questdb_jar.VERSION}.jar") in str(caught.value)


def test_a_damaged_program_is_loaded_anew(tmp_path: Path) -> None:
    path = tmp_path / jar().name
    path.write_bytes(b"not a jar")
    assert jar(tmp_path) == path
    assert path.read_bytes() == jar().read_bytes()
