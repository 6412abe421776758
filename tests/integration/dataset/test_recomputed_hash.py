"""A stranger can recompute the content hash from an export: examples/recompute_hash.py."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
from pyarrow import feather, parquet

from examples import recompute_hash
from services.dataset.domain.columns import Table
from services.dataset.domain.manifest import to_json
from services.shared.postgres import Pool
from services.shared.threads import in_thread
from tests.integration.dataset.client import bar_file, indicator_file
from tests.integration.dataset.growing import opened, read_version, written
from tests.integration.dataset.inside import append, order, started
from tests.unit.dataset.bars import hourly

ROWS = 70_000  # more than a block
FORMS: dict[str, Callable[[pa.Table, Path], object]] = {
    "parquet": parquet.write_table,
    "arrow": lambda rows, path: feather.write_feather(rows, path, compression="uncompressed"),
    "csv": lambda rows, path: pl.DataFrame(rows).write_csv(path),
}


def test_the_script_without_a_folder_says_what_it_takes() -> None:
    command = [sys.executable, recompute_hash.__file__]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "Usage: python examples/recompute_hash.py FOLDER\n"


def tables() -> tuple[pa.Table, pa.Table]:
    times = hourly(ROWS)
    phases = np.array(["", "até", 'a "quoted", \\ text', None, "NA"] * (ROWS // 5), dtype=object)
    volume = np.where(np.arange(ROWS) % 7 == 0, np.nan, np.where(np.arange(ROWS) % 5, 3.5, -0.0))
    bars = opened(bar_file(times, phase=phases))
    bars = bars.set_column(bars.schema.get_field_index("volume"), "volume", pa.array(volume))
    return bars, opened(indicator_file(times[100:-6], Größe=np.full(ROWS - 106, -0.0)))


async def test_the_hash_of_an_import_and_an_append_is_recomputed_from_an_export(
    migrated: Pool, tmp_path: Path
) -> None:
    bars, indicators = tables()
    first, last = 66_000, ROWS
    async with started(migrated, tmp_path / "service") as service:
        await service.run(
            order("exported"), written(bars.slice(0, first)), written(indicators.slice(0, 65_000))
        )
        files = written(bars.slice(first, last - first)), written(indicators.slice(65_000))
        dataset = (await service.append(append("exported"), *files)).dataset
        exported = {
            table: await read_version(service, dataset, table)
            for table in (Table.OHLCV, Table.INDICATORS)
        }
    manifest = json.dumps(to_json(dataset.manifest), default=str)
    for form, write in FORMS.items():
        folder = tmp_path / form
        folder.mkdir()
        for table, rows in exported.items():
            write(rows, folder / f"{table.value}.{form}")
        (folder / "manifest.json").write_text(manifest, "utf-8")
        found = recompute_hash.content_hash(folder, json.loads(manifest))
        assert found == dataset.manifest.content_hash, form
        script = await in_thread(run_script, folder)
        assert (script.returncode, "is what was published" in script.stdout) == (0, True)


def run_script(folder: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, recompute_hash.__file__, str(folder)]
    return subprocess.run(command, capture_output=True, text=True)
