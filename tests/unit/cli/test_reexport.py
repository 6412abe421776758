"""`dataset reexport`: each entry on its own, and nothing twice."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from email import message_from_bytes
from pathlib import Path
from typing import Any

import orjson
import pytest

from gateway.cli.__main__ import run
from gateway.cli.exit_codes import ExitCode
from tests.unit.cli.scripted_server import Call, answering

Reexport = Callable[..., ExitCode]


class Server:
    """Publishes what it is sent, once a slug; refuses what begins with `bad`."""

    def __init__(self) -> None:
        self.published: dict[str, dict[str, str]] = {}
        self.keys: list[str] = []

    def __call__(self, call: Call) -> None:
        if call.command == "POST":
            return self._publish(call)
        slug = call.path.split("/")[3]
        if slug not in self.published:
            return call.json(404, {"error": "There is none."})
        manifest = {
            "dataset_slug": slug,
            "dataset_id": slug,
            "version": 1,
            "content_hash": "h",
            "ohlcv_rows": 5,
            "indicator_rows": 0,
            "gaps": [],
        }
        metadata = orjson.loads(self.published[slug]["metadata"])
        is_manifest = call.path.endswith("/manifest")
        return call.json(
            200, manifest if is_manifest else {"metadata": metadata, "manifest": manifest}
        )

    def _publish(self, call: Call) -> None:
        fields = form(call)
        if fields["ohlcv"].startswith("bad"):
            return call.json(400, {"error": "Line 1 is bad."})
        self.published[fields["slug"]] = fields
        self.keys.append(call.headers["Idempotency-Key"])
        report = {"warnings": ["W."], "notes": [], "columns": []}
        return call.json(201, {"dataset_id": fields["slug"], "report": report})


def form(call: Call) -> dict[str, str]:
    head = f"Content-Type: {call.headers['content-type']}\r\n\r\n".encode()
    parts: Any = message_from_bytes(head + call.body).get_payload()
    return {
        str(part.get_param("name", header="content-disposition")): part.get_payload().strip()
        for part in parts
    }


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, text in {"a.csv": "rows of a", "b.csv": "bad", "c.csv": "rows of c"}.items():
        (tmp_path / name).write_text(text, "utf-8")
    return tmp_path


@pytest.fixture
def server() -> Server:
    return Server()


@pytest.fixture
def reexport(folder: Path, server: Server) -> Iterator[Reexport]:
    with answering(server) as url:

        def done(*entries: str, options: tuple[str, ...] = ()) -> ExitCode:
            path = folder / "batch.yaml"
            path.write_text("datasets:\n" + "".join(f"  - {entry}\n" for entry in entries), "utf-8")
            return ExitCode(run(["dataset", "reexport", str(path), *options, "--url", url]))

        yield done


def entry(name: str, **more: str) -> str:
    rest = "".join(f", {key}: {value}" for key, value in more.items())
    return f"{{slug: {name}, symbol: X, ohlcv: {name}.csv{rest}}}"


def reported(folder: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = orjson.loads((folder / "report.json").read_bytes())["datasets"]
    return found


def test_a_bad_entry_stops_no_other_and_is_told(
    reexport: Reexport, folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    options = ("--report", str(folder / "report.json"))
    code = reexport(entry("a"), entry("b"), entry("c"), options=options)
    assert code == ExitCode.INCOMPLETE
    assert "1 of 3 datasets were not published." in capfd.readouterr().err
    a, b, c = reported(folder)
    assert (a["status"], a["bars"], a["warnings"]) == ("published", 5, 1)
    assert (b["status"], b["error"]) == ("failed", "Line 1 is bad.")
    assert c["status"] == "published"


def test_a_second_run_passes_over_what_is_published(
    reexport: Reexport, server: Server, folder: Path
) -> None:
    assert reexport(entry("a")) == ExitCode.OK
    options = ("--report", str(folder / "report.json"))
    assert reexport(entry("a"), entry("c"), options=options) == ExitCode.OK
    assert [one["status"] for one in reported(folder)] == ["skipped", "published"]
    assert len(server.keys) == len(set(server.keys)) == 2


def test_the_key_is_of_what_is_in_the_files_not_of_where_they_lie(
    reexport: Reexport, server: Server, folder: Path
) -> None:
    assert reexport(entry("a")) == ExitCode.OK
    (folder / "moved").mkdir()
    (folder / "a.csv").rename(folder / "moved" / "a.csv")
    assert reexport("{slug: a, symbol: X, ohlcv: moved/a.csv}") == ExitCode.OK
    assert len(server.keys) == 1


@pytest.mark.parametrize("change", ["rows", "options"])
def test_a_dataset_made_of_something_else_is_not_passed_over(
    change: str, reexport: Reexport, folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert reexport(entry("a")) == ExitCode.OK
    if change == "rows":
        (folder / "a.csv").write_text("other rows", "utf-8")
    other = entry("a", granularity="4h") if change == "options" else entry("a")
    assert reexport(other) == ExitCode.INCOMPLETE
    assert "exists already, made of other files" in capfd.readouterr().out


def test_a_checksum_is_held_against_the_file_before_anything_is_sent(
    reexport: Reexport, server: Server, folder: Path
) -> None:
    right = hashlib.sha256((folder / "a.csv").read_bytes()).hexdigest()
    options = ("--report", str(folder / "report.json"))
    code = reexport(
        entry("c", ohlcv_sha256="0" * 64), entry("a", ohlcv_sha256=right), options=options
    )
    assert code == ExitCode.INCOMPLETE
    assert set(server.published) == {"a"}
    assert "SHA-256" in reported(folder)[0]["error"]


def test_a_file_that_is_not_there_fails_alone(reexport: Reexport, server: Server) -> None:
    assert reexport(entry("nowhere"), entry("a")) == ExitCode.INCOMPLETE
    assert set(server.published) == {"a"}


def test_outcomes_come_in_the_order_of_the_batch_and_are_counted_in_it(
    reexport: Reexport, folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert reexport(entry("a")) == ExitCode.OK
    capfd.readouterr()
    options = ("--report", str(folder / "report.json"))
    entries = (entry("c"), entry("nowhere"), entry("a"), entry("b"))
    assert reexport(*entries, options=options) == ExitCode.INCOMPLETE
    statuses = {one["slug"]: one["status"] for one in reported(folder)}
    assert list(statuses) == ["c", "nowhere", "a", "b"]
    assert [*statuses.values()] == ["published", "failed", "skipped", "failed"]
    told = [line for line in capfd.readouterr().err.splitlines() if " of 4: " in line]
    assert told == ["1 of 4: c", "2 of 4: nowhere failed", "3 of 4: a", "4 of 4: b"]


def test_a_report_that_cannot_be_written_is_found_before_anything_is_sent(
    reexport: Reexport, server: Server, folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    report = folder / "not_there" / "report.json"
    assert reexport(entry("a"), options=("--report", str(report))) == ExitCode.REFUSED
    assert not server.published
    told = f"{report} cannot be written: No such file or directory.\n"
    assert capfd.readouterr().err == told


def test_a_batch_of_nothing_is_refused(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path, report = folder / "batch.yaml", folder / "report.json"
    path.write_text("datasets: []\n", "utf-8")
    code = run(["dataset", "reexport", str(path), "--report", str(report)])
    assert code == ExitCode.REFUSED
    told = f"{path}, line 1: datasets is an empty list: nothing is to import.\n"
    assert capfd.readouterr().err == told
    assert not report.exists()
