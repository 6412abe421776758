"""Rows put aside come back as they were, in few pieces however many there are."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from services.dataset.formats import aside
from services.dataset.formats.aside import Aside
from services.shared.series.disk import WRITE_BYTES


def test_rows_put_aside_come_back_and_only_the_first_in_small_pieces(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(aside, "_SMALL_COLUMNS", 60)
    block = pa.table({f"c{i}": np.arange(100_000.0) + i for i in range(3)})
    rows = Aside(tmp_path / "rows")
    for _ in range(4):
        rows.write(block)
    mapped = rows.mapped()
    assert mapped.equals(pa.concat_tables([block] * 4))
    pieces = [len(chunk) for chunk in mapped.column("c1").chunks]
    assert max(pieces[:26]) * 8 == WRITE_BYTES  # two blocks: 78 columns are over 60
    assert pieces[26:] == [65_536, 100_000 - 65_536] * 2
