"""Damaged files are refused or read as what they say: never a crash, never a value from nowhere.

Some 500 of them, or more than 10,000 with `STAGE1_FAULTS=all` (`make faults`).
"""

from __future__ import annotations

import os
import tempfile
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa
import pytest

from services.dataset.formats import Kind, Options, read
from tests.unit.dataset_formats.mutations import FILES, GIVEN, mutants, outcome
from tests.unit.dataset_formats.oracle import holds_what_the_text_says

COUNT: Final = 550 if os.environ.get("STAGE1_FAULTS") == "all" else 25


@pytest.mark.timeout(1200)
@pytest.mark.parametrize("name", FILES)
def test_a_damaged_file_is_refused_or_keeps_every_rule(name: str) -> None:
    outcomes: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as folder:
        for content in mutants(name, COUNT):
            outcomes[outcome(Path(folder, "file"), name, content)] += 1
    assert outcomes["refused"] > COUNT // 10
    assert outcomes.total() == COUNT


@pytest.mark.parametrize(
    "name", ["dukascopy.csv", "iso_8601.csv", "tssb_market.txt", "unix_ns.csv"]
)
def test_a_text_file_without_one_of_its_lines_has_one_row_less(name: str) -> None:
    lines = FILES[name].splitlines(keepends=True)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "file")
        path.write_bytes(FILES[name])
        whole = read(path, Kind.OHLCV, Options(**GIVEN.get(name, {}))).table
        first = len(lines) - whole.num_rows
        for left_out in range(first, len(lines), 7):
            path.write_bytes(b"".join(lines[:left_out] + lines[left_out + 1 :]))
            table = read(path, Kind.OHLCV, Options()).table
            assert table == whole.filter(np.arange(whole.num_rows) != left_out - first)


@pytest.mark.parametrize("column", ["timestamp_ms", "volume", "trades"])
def test_the_reader_beside_ours_sees_one_wrong_value(tmp_path: Path, column: str) -> None:
    name = "kraken_ohlcvt.csv"
    path = tmp_path / "file"
    path.write_bytes(FILES[name])
    parsed = read(path, Kind.OHLCV, Options())
    holds_what_the_text_says(name, parsed, FILES[name])
    wrong = parsed.table[column].to_pylist()
    wrong[3] += 1
    place = parsed.table.column_names.index(column)
    table = parsed.table.set_column(place, column, pa.array(wrong, parsed.table[column].type))
    with pytest.raises(AssertionError):
        holds_what_the_text_says(name, replace(parsed, table=table), FILES[name])
