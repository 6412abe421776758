"""A dataset's files through the real processes: in, longer, verified, out, and in again."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import orjson
import pytest

from examples import recompute_hash
from tests.e2e.command import Command
from tests.e2e.conftest import BARS, INDICATORS

APPENDED = 100
LOOKAHEAD = 6
OPTIONS = (
    *("--symbol", "EURUSD", "--granularity", "1h", "--calendar", "24x5_fx"),
    *("--target", "TGT_FWD6:6", "--target", "TGT_PLANTED:6"),
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The example files, and how they were 100 bars earlier."""
    made = tmp_path_factory.mktemp("files")
    for path, name in ((BARS, "bars"), (INDICATORS, "ind")):
        lines = path.read_bytes().splitlines(keepends=True)
        (made / f"{name}_old.csv").write_bytes(b"".join(lines[:-APPENDED]))
        (made / f"{name}_tail.csv").write_bytes(b"".join([lines[0], *lines[-APPENDED - 50 :]]))
    return made


@pytest.fixture(scope="module")
def grown(command: Command, folder: Path) -> Any:
    """The manifest of what was imported in two pieces."""
    old = {"ohlcv": folder / "bars_old.csv", "indicators": folder / "ind_old.csv"}
    command.json("dataset", "import", "grown", *files(old), *OPTIONS)
    tail = {"ohlcv": folder / "bars_tail.csv", "indicators": folder / "ind_tail.csv"}
    done = command.json("dataset", "append", "grown", *files(tail))
    assert (done["version"], done["appended_ohlcv_rows"]) == (2, APPENDED)
    assert (done["appended_indicator_rows"], done["repeated_ohlcv_rows"]) == (APPENDED, 50)
    return command.json("dataset", "show", "grown")


def files(paths: dict[str, Path]) -> list[str]:
    return [text for name, path in paths.items() for text in (f"--{name}", str(path))]


def test_what_grew_is_what_comes_at_once(command: Command, dataset: str, grown: Any) -> None:
    at_once = command.json("dataset", "show", dataset)
    assert grown["content_hash"] == at_once["content_hash"]
    assert (grown["ohlcv_rows"], grown["indicator_rows"]) == (6225, 6099)
    versions = command.json("dataset", "versions", "grown")["versions"]
    assert [v["ohlcv_row_count"] for v in versions] == [6225, 6225 - APPENDED]


def test_the_same_append_again_changes_nothing(command: Command, folder: Path, grown: Any) -> None:
    again = command.json("dataset", "append", "grown", "--ohlcv", str(folder / "bars_tail.csv"))
    assert (again["version"], again["appended_ohlcv_rows"]) == (2, 0)
    assert command.json("dataset", "show", "grown") == grown


def test_each_version_is_sound_and_so_is_the_store(command: Command, grown: Any) -> None:
    sources = files({"ohlcv": BARS, "indicators": INDICATORS})
    newest = command.json("dataset", "verify", "grown", *sources)
    assert (newest["is_sound"], newest["compared_rows"]) == (True, 6225 + 6099)
    sampled = command.json("dataset", "verify", "grown", *sources, "--sample", "500")
    assert sampled["is_sound"]
    first = command.json("dataset", "verify", "grown", "--version", "1")
    assert (first["is_sound"], first["rows"]) == (True, 6225 + 6099 - 2 * APPENDED)
    assert command.json("dataset", "fsck")["is_sound"]


def test_a_source_with_another_price_is_a_finding_with_its_own_code(
    command: Command, folder: Path, grown: Any
) -> None:
    changed = folder / "changed.csv"
    changed.write_bytes(BARS.read_bytes().replace(b"1.05227,1.05426", b"1.05228,1.05426", 1))
    done = command("dataset", "verify", "grown", "--ohlcv", str(changed))
    assert done.code == 8, done.err
    assert "should be" in done.err


@pytest.mark.parametrize("form", ["parquet", "csv", "arrow"])
@pytest.mark.parametrize("version", [1, 2])
def test_what_is_exported_and_imported_again_has_the_same_hash(
    command: Command, grown: Any, tmp_path: Path, form: str, version: int
) -> None:
    out = tmp_path / "out"
    asked = ("--format", form, "--version", str(version))
    done = command.json("dataset", "export", "grown", str(out), *asked)
    assert set(done["files"]) == {path.name for path in out.iterdir()}
    slug = f"again_{form}_{version}"
    paths = {"ohlcv": out / f"ohlcv.{form}", "indicators": out / f"indicators.{form}"}
    manifest = out / "manifest.json"
    command.json("dataset", "import", slug, *files(paths), "--manifest", str(manifest))
    found = command.json("dataset", "show", slug)
    wanted = orjson.loads(manifest.read_bytes())
    assert recompute_hash.content_hash(out, wanted) == wanted["content_hash"]
    ours = {"dataset", "dataset_id", "dataset_slug", "version", "exported_at", "exported_at_ms"}
    ours |= {"ohlcv_measurement", "indicator_measurement"}
    assert {k: v for k, v in found.items() if k not in ours} == {
        k: v for k, v in wanted.items() if k not in ours
    }


def test_a_batch_is_imported_once_and_a_bad_entry_stops_no_other(
    command: Command, folder: Path, dataset: str
) -> None:
    digest = hashlib.sha256(BARS.read_bytes()).hexdigest()
    batch = folder / "batch.yaml"
    batch.write_text(
        f"""\
defaults: {{symbol: EURUSD, calendar: 24x5_fx}}
datasets:
  - slug: batch_wrong
    ohlcv: {BARS}
    ohlcv_sha256: {"0" * 64}
  - slug: batch_good
    ohlcv: {BARS}
    ohlcv_sha256: {digest}
    indicators: {INDICATORS}
    options: {{targets: [TGT_FWD6:6, TGT_PLANTED:6]}}
""",
        "utf-8",
    )
    report = folder / "report.json"
    for status in ("published", "skipped"):
        done = command("dataset", "reexport", str(batch), "--report", str(report))
        assert done.code == 9, done.err
        wrong, good = orjson.loads(report.read_bytes())["datasets"]
        assert (wrong["status"], good["status"], good["bars"]) == ("failed", status, 6225)
    at_once = command.json("dataset", "show", dataset)
    assert good["content_hash"] == at_once["content_hash"]


def test_a_file_is_looked_at_without_being_kept(command: Command) -> None:
    found = command.json("dataset", "sniff", str(BARS))
    assert (found["rows"], found["bar_interval_ms"]) == (6225, 3_600_000)
    assert found["calendar"] == "24x5_fx"
    assert found["report"]["notes"]


def test_imports_are_known_and_the_last_rows_are_the_last(command: Command, grown: Any) -> None:
    kinds = {i["kind"] for i in command.json("dataset", "imports", "--slug", "grown")["imports"]}
    assert kinds == {"import", "append"}
    rows = command.json("dataset", "head", "grown", "--last", "-n", "2")["rows"]
    assert [row["index"] for row in rows] == [6224, 6223]


def test_columns_have_statistics(command: Command, grown: Any) -> None:
    found = command.json("dataset", "columns", "grown", "--columns", "close")["columns"]
    assert [c["name"] for c in found] == ["close"]
    figures = found[0]["statistics"]
    assert figures["rows"] == 6225
    assert figures["min"] < figures["mean"] < figures["max"]
    assert sum(figures["histogram_counts"]) == 6225
