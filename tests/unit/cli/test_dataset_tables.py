from __future__ import annotations

from typing import Any

import pytest

from gateway.cli.tables import datasets


def column(name: str, null_count: int = 0, role: str = "feature") -> dict[str, Any]:
    return {"name": name, "role": role, "horizon_bars": None, "null_count": null_count}


def report(*columns: dict[str, Any]) -> dict[str, Any]:
    trimmed = {"trimmed_head_rows": 0, "trimmed_tail_rows": 0}
    return {"notes": [], "warnings": [], "columns": columns, **trimmed}


MANIFEST: dict[str, Any] = {
    "dataset_slug": "eurusd",
    "version": 1,
    "dataset_id": "seven",
    "symbol": "EURUSD",
    "granularity": "1h",
    "source": "",
    "ohlcv_rows": 0,
    "indicator_rows": 0,
    "bar_interval_ms": 3_600_000,
    "lookback_rows": 0,
    "lookahead_rows": 0,
    "calendar": "24x5_fx",
    "timestamp_convention": "open",
    "gaps": [],
    "gap_policy": "mark",
    "content_hash": "abc",
}


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ([column("A", 56), column("B"), column("TGT", 28)], "nulls: A 56, TGT 28 rows\n"),
        (
            [column(f"C{i}", i) for i in range(1, 8)],
            "nulls: C1 1, C2 2, C3 3, C4 4, C5 5 rows and 2 more columns\n",
        ),
        ([column("A"), column("B")], ""),
    ],
)
def test_columns_with_nulls_are_named_after_an_import(
    columns: list[dict[str, Any]], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    datasets.report(report(*columns))
    assert capsys.readouterr() == ("", said)


def test_of_thousands_of_columns_the_first_are_named_and_the_rest_counted(
    capsys: pytest.CaptureFixture[str],
) -> None:
    columns = [column(f"F{i}") for i in range(3000)]
    datasets.manifest({**MANIFEST, "columns": columns})
    shown = " ".join(capsys.readouterr().out.split())
    assert "features 3000: F0, F1, " in shown
    assert "F19 and 2980 more" in shown
    assert "F20" not in shown


def test_a_few_dozen_columns_are_all_named(capsys: pytest.CaptureFixture[str]) -> None:
    datasets.manifest({**MANIFEST, "columns": [column(f"F{i}") for i in range(30)]})
    shown = capsys.readouterr().out
    assert "F29" in shown
    assert "more" not in shown


SAID: dict[str, Any] = {
    "symbol": "EURUSD",
    "granularity": "1h",
    "source": "",
    "metadata": {},
    "versions": [1, 2],
    "runs": 3,
    "simulations": 0,
}


def shown(capsys: pytest.CaptureFixture[str], **changes: object) -> list[str]:
    datasets.shown({**MANIFEST, "columns": [], "dataset": {**SAID, **changes}})
    return [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]


def test_a_dataset_is_shown_with_what_is_said_of_it_now(capsys: pytest.CaptureFixture[str]) -> None:
    changes = {"symbol": "EUR", "source": "desk", "metadata": {"note": "[red] :cat:", "by": "me"}}
    lines = shown(capsys, **changes)
    assert "symbol EUR 1h" in lines
    assert "source desk" in lines
    assert "symbol of version 1 EURUSD 1h" in lines
    assert lines[lines.index("metadata note: [red] :cat:") + 1] == "by: me"
    assert "versions 1, 2" in lines
    assert "used by 3 runs, 0 simulations" in lines


def test_what_nobody_has_changed_is_shown_once(capsys: pytest.CaptureFixture[str]) -> None:
    assert not [line for line in shown(capsys) if "of version" in line]
