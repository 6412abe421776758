"""Files of any size are read in the same memory, whatever holds them.

`STAGE1_FAULTS=all` reads 600 MB, else what a few seconds allow: many times the bound in any case.
"""

from __future__ import annotations

import gzip
import os
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import numpy as np
import polars as pl
import pyarrow as pa
import pytest

from services.dataset.formats import Kind

pytestmark = pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="RssAnon is told by Linux alone"
)

MOST: Final = 150 << 20
ROWS: Final = 3_600_000 if os.environ.get("STAGE1_FAULTS") == "all" else 1_400_000
BLOCK: Final = 200_000
START: Final = datetime(2015, 1, 1, tzinfo=UTC)


def block(first: int, rows: int) -> pl.DataFrame:
    chance = np.random.default_rng(first)
    moments = START + timedelta(minutes=first), START + timedelta(minutes=first + rows - 1)
    stamps = pl.datetime_range(*moments, "1m", eager=True)
    close = np.round(100 + chance.random(rows), 5)
    bars = {"date": stamps.dt.strftime("%Y-%m-%d %H:%M:%S"), "open": close, "close": close}
    bars |= {"high": close + 1, "low": close - 1, "volume": np.round(chance.random(rows), 3)}
    others = {f"X{i}": np.round(chance.normal(size=rows), 5) for i in range(14)}
    return pl.DataFrame(bars | others)


def blocks() -> list[pl.DataFrame]:
    return [block(first, min(BLOCK, ROWS - first)) for first in range(0, ROWS, BLOCK)]


def csv(path: Path) -> None:
    with path.open("wb") as file:
        for first in range(0, ROWS, BLOCK):
            rows = block(first, min(BLOCK, ROWS - first))
            rows.write_csv(file, include_header=first == 0)


def packed(path: Path) -> None:
    csv(path.with_suffix(".plain"))
    with gzip.open(path, "wb", 1) as into, path.with_suffix(".plain").open("rb") as plain:
        while piece := plain.read(1 << 20):
            into.write(piece)


def arrow(path: Path) -> None:
    first = block(0, 1).to_arrow()
    with pa.ipc.new_file(path, first.schema) as writer:
        for start in range(0, ROWS, BLOCK):
            rows = block(start, min(BLOCK, ROWS - start))
            writer.write_table(rows.to_arrow().cast(first.schema), max_chunksize=65_536)


def parquet(path: Path) -> None:
    pl.concat(blocks()).write_parquet(path, row_group_size=100_000)


@pytest.mark.parametrize("write", [csv, packed, arrow, parquet])
@pytest.mark.timeout(600)
def test_a_large_file_is_read_in_little_memory(
    write: Callable[[Path], None], tmp_path: Path
) -> None:
    path = tmp_path / "bars"
    write(path)
    assert measured(path, Kind.OHLCV) == ROWS


def measured(path: Path, kind: Kind) -> int:
    """The rows of a file that was read by a process of its own within MOST."""
    command = [sys.executable, "-m", "tests.unit.dataset_formats.reading", str(path), kind.value]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    rows, grown = map(int, done.stdout.split())
    assert grown < MOST, f"reading {path.stat().st_size} bytes took {grown >> 20} MiB"
    return rows
