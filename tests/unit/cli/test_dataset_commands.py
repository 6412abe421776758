"""What commands ask of the API, and how they tell what came of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pytest

from gateway.cli.__main__ import run
from gateway.cli.exit_codes import ExitCode
from tests.unit.cli.scripted_server import Call, answering
from tests.unit.cli.test_import import REPORT

APPENDED: dict[str, Any] = {
    "dataset_slug": "a",
    "dataset_id": "seven",
    "version": 2,
    "report": REPORT,
    "appended_ohlcv_rows": 100,
    "appended_indicator_rows": 90,
    "repeated_ohlcv_rows": 500,
    "repeated_indicator_rows": 0,
}
NOTHING_NEW = {**APPENDED, "appended_ohlcv_rows": 0, "appended_indicator_rows": 0}


@pytest.fixture
def bars(tmp_path: Path) -> str:
    path = tmp_path / "bars.csv"
    path.write_text("x", "utf-8")
    return str(path)


@pytest.mark.parametrize(
    ("answer", "said"),
    [(APPENDED, "new bars"), (NOTHING_NEW, "version 2 stays the newest")],
)
def test_an_append_says_what_was_new(
    answer: dict[str, Any], said: str, bars: str, capfd: pytest.CaptureFixture[str]
) -> None:
    arguments = ["dataset", "append", "a", "--ohlcv", bars, "--expected-version", "1"]
    with answering(lambda call: call.json(201, answer)) as url:
        assert run([*arguments, "--url", url]) == ExitCode.OK
    assert said in capfd.readouterr().out


def test_an_append_of_no_file_is_a_usage_error() -> None:
    assert run(["dataset", "append", "a"]) == ExitCode.USAGE


def asked_by(*arguments: str, answer: object) -> tuple[str, str, Any]:
    """Method, path and JSON body of what a command asks."""
    found: list[tuple[str, str, Any]] = []

    def told(call: Call) -> None:
        found.append((call.command, call.path, orjson.loads(call.body) if call.body else None))
        call.json(200, answer)

    with answering(told) as url:
        assert run([*arguments, "--url", url, "-o", "json"]) == ExitCode.OK
    return found[0]


def test_an_adoption_names_tables_and_targets() -> None:
    options = "--slug a --symbol X --ohlcv-measurement old --target TGT:6 --metadata k=v"
    done = {"dataset_id": "seven", "report": REPORT}
    assert asked_by("dataset", "adopt", *options.split(), answer=done) == (
        "POST",
        "/api/datasets",
        {
            "slug": "a",
            "symbol": "X",
            "ohlcv_measurement": "old",
            "targets": [{"name": "TGT", "horizon_bars": 6}],
            "metadata": {"k": "v"},
        },
    )


def test_an_update_sets_and_takes_away_and_leaves_the_rest() -> None:
    options = "--symbol X --metadata k=v --remove-metadata old"
    assert asked_by("dataset", "update", "a", *options.split(), answer={}) == (
        "PATCH",
        "/api/datasets/a",
        {"symbol": "X", "metadata": {"k": "v", "old": None}},
    )


def test_an_update_of_nothing_is_a_usage_error() -> None:
    assert run(["dataset", "update", "a"]) == ExitCode.USAGE


@pytest.mark.parametrize(
    ("arguments", "path"),
    [
        ("columns a --no-statistics", "/api/datasets/a/columns?statistics=false"),
        ("gaps a --version 2", "/api/datasets/a/gaps?version=2"),
        ("versions a --limit 5", "/api/datasets/a/versions?limit=5"),
        ("imports --status REJECTED", "/api/imports?status=REJECTED&limit=50"),
        ("imports seven", "/api/imports/seven"),
        ("head a --last -n 3", "/api/datasets/a/ohlcv?limit=3&desc=true"),
        ("fsck", "/api/store/check"),
    ],
)
def test_each_looks_where_the_api_has_it(arguments: str, path: str) -> None:
    answer = {"is_sound": True, "findings": []}
    assert asked_by("dataset", *arguments.split(), answer=answer) == ("GET", path, None)


def test_a_watch_goes_on_after_the_last_id_it_saw(capfd: pytest.CaptureFixture[str]) -> None:
    data = {"at": "2026-01-31T12:00:00.000Z", "dataset_slug": "a", "version": 2}
    published = f"id: 7\nevent: published\ndata: {orjson.dumps(data).decode()}\n\n"
    after: list[str | None] = []

    def told(call: Call) -> None:
        after.append(call.headers.get("last-event-id"))
        if len(after) == 1:
            return call.events(f"{published}: heartbeat\nid: 9\n\n")
        return call.json(404, {"error": "It is gone."})

    with answering(told) as url:
        assert run(["dataset", "watch", "a", "--url", url]) == ExitCode.NOT_FOUND
    assert after == [None, "9"]
    assert capfd.readouterr().out == "2026-01-31 12:00:00 published a version 2\n"


def test_an_older_version_is_shown_under_what_its_dataset_is_called_now(
    capfd: pytest.CaptureFixture[str],
) -> None:
    newer = {"version": 2, "symbol": "NEW"}
    detail = {"dataset_id": "seven", "symbol": "NEW", "manifest": newer}
    older = {"version": 1, "symbol": "OLD"}
    asked, shown = [], []

    def told(call: Call) -> None:
        asked.append(call.path)
        call.json(200, older if "manifest" in call.path else detail)

    with answering(told) as url:
        for arguments in (["a"], ["a", "--version", "2"], ["a", "--version", "1"]):
            assert run(["dataset", "show", *arguments, "--url", url, "-o", "json"]) == ExitCode.OK
            shown.append(orjson.loads(capfd.readouterr().out))
    newest = "/api/datasets/a"
    assert asked == [newest, newest, newest, "/api/datasets/seven/manifest?version=1"]
    present = {"dataset": {"dataset_id": "seven", "symbol": "NEW"}}
    assert shown == [{**held, **present} for held in (newer, newer, older)]


def test_an_import_that_succeeded_is_shown_as_published(capfd: pytest.CaptureFixture[str]) -> None:
    one = {"import_id": "i", "dataset_slug": "a", "status": "CLEANED", "error": None, "version": 1}
    one |= {"kind": "import", "created_at": "2026-01-31T12:00:00Z"}
    listed = {"imports": [one], "count": 1, "next_page_token": ""}

    def told(call: Call) -> None:
        call.json(200, one if call.path.startswith("/api/imports/") else listed)

    with answering(told) as url:
        for arguments in (["imports"], ["imports", "i"]):
            assert run(["dataset", *arguments, "--url", url]) == ExitCode.OK
            shown = capfd.readouterr().out
            assert "PUBLISHED" in shown
            assert "CLEANED" not in shown
        assert run(["dataset", "imports", "i", "--url", url, "-o", "json"]) == ExitCode.OK
        assert orjson.loads(capfd.readouterr().out) == one
