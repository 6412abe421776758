"""A long error costs no column of its table, however narrow the terminal."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from gateway.cli import output
from gateway.cli.tables import batches, publishing

ERROR = "ohlcv (bars.csv) line 3 has the price -1.5, which is not above 0; " + "; ".join(
    f"line {line} has no time" for line in range(4, 24)
)
IMPORT: dict[str, Any] = {
    "import_id": "0190a0b1-1111-7222-8333-444455556666",
    "dataset_slug": "eurusd_1h_2017",
    "status": "REJECTED",
    "error": ERROR,
    "version": None,
    "kind": "adoption",
    "created_at": "2026-01-31T12:00:00.000Z",
}
PUBLISHED: dict[str, Any] = {
    "slug": "eurusd_1h_2017",
    "status": "published",
    "error": "",
    "version": 12,
    "bars": 1_234_567,
    "indicator_rows": 1_234_000,
    "missing_slots": 3,
    "warnings": 2,
}
FAILED = {**dict.fromkeys(PUBLISHED), "slug": "btc_4h", "status": "failed", "error": ERROR}

Drawn = Callable[[], list[str]]


@pytest.fixture(params=[80, 100])
def drawn(
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Drawn:
    """What was drawn, line by line, in a terminal of this width."""
    monkeypatch.setattr(output, "_PIPE_WIDTH", request.param)

    def lines() -> list[str]:
        shown = capsys.readouterr()
        assert shown.err == ""
        found = shown.out.splitlines()
        assert max(map(len, found)) <= request.param
        return found

    return lines


def words(lines: list[str]) -> str:
    return " ".join(" ".join(lines).split())


def test_an_import_that_was_refused_keeps_its_columns_beside_its_error(drawn: Drawn) -> None:
    published = {**IMPORT, "import_id": "seven", "status": "CLEANED", "error": None, "version": 12}
    publishing.imports({"imports": [IMPORT, published], "next_page_token": ""})
    lines = drawn()
    titles = next(line for line in lines if line.strip())
    assert titles.split() == ["id", "slug", "status", "version", "kind", "begun", "(UTC)"]
    row = next(line for line in lines if "REJECTED" in line)
    assert {"eurusd_1h_2017", "-", "adoption", "2026-01-31"} <= set(row.split())
    row = next(line for line in lines if "PUBLISHED" in line)
    assert {"seven", "12", "adoption", "2026-01-31"} <= set(row.split())
    assert words(lines).endswith(f"{IMPORT['import_id']} {ERROR}")


def test_a_dataset_of_a_batch_that_failed_keeps_its_columns_beside_its_error(drawn: Drawn) -> None:
    counts = {"published": 1, "skipped": 0, "failed": 1}
    batches.outcomes({"datasets": [PUBLISHED, FAILED], **counts})
    lines = drawn()
    row = next(line for line in lines if "published" in line)
    assert row.split()[1:] == ["published", "12", "1234567", "1234000", "3", "2"]
    titles = words(lines[: lines.index(row)])
    for title in ("slug", "status", "version", "bars", "indicator", "rows", "missing", "warnings"):
        assert title in titles
    assert words(lines).endswith(f"btc_4h {ERROR} 1 published, 0 there already, 1 failed.")
