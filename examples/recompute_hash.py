"""The content hash of a version, from what `stage1 dataset export NAME FOLDER` wrote.

    python examples/recompute_hash.py FOLDER

docs/formats.md says what is hashed; nothing of Stage1 is needed here.
"""

from __future__ import annotations

import hashlib
import json
import struct
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from pyarrow import csv, feather, parquet

BLOCK_ROWS = 65_536


def canonical(values: pa.ChunkedArray, kind: str) -> bytes:
    if kind == "int64":
        return np.asarray(values, "<i8").tobytes()
    if kind == "float64":
        numbers = np.asarray(values.fill_null(np.nan), "<f8") + 0.0  # makes 0 of -0
        return np.where(np.isnan(numbers), np.nan, numbers).tobytes()
    texts = [None if text is None else text.encode() for text in values.to_pylist()]
    return b"".join(struct.pack("<i", -1 if t is None else len(t)) + (t or b"") for t in texts)


def table_hash(rows: pa.Table, columns: list[tuple[str, str]]) -> bytes:
    whole = hashlib.sha256(json.dumps(columns, ensure_ascii=False, separators=(",", ":")).encode())
    for start in range(0, len(rows), BLOCK_ROWS):
        block = hashlib.sha256()
        for name, kind in columns:
            block.update(canonical(rows[name].slice(start, BLOCK_ROWS), kind))
        whole.update(block.digest())
    whole.update(struct.pack("<q", len(rows)))
    return whole.digest()


def read(folder: Path, table: str, columns: list[tuple[str, str]]) -> pa.Table:
    """Of any form of export. In CSV only nothing between separators is missing: NA is a text."""
    if (path := folder / f"{table}.parquet").exists():
        return parquet.read_table(path)
    if (path := folder / f"{table}.arrow").exists():
        return feather.read_table(path)
    types = {name: pa.string() if kind == "text" else kind for name, kind in columns}
    as_written = csv.ConvertOptions(
        column_types=types,
        null_values=[""],
        strings_can_be_null=True,
        quoted_strings_can_be_null=False,
    )
    return csv.read_csv(folder / f"{table}.csv", convert_options=as_written)


def content_hash(folder: Path, manifest: dict[str, Any]) -> str:
    kinds = {"float64": "float64", "string": "text"}
    both = hashlib.sha256()
    for table in ("ohlcv", "indicators"):
        values = [c for c in manifest["columns"] if c["table"] == table]
        if values:
            columns = [("timestamp_ms", "int64"), *((c["name"], kinds[c["type"]]) for c in values)]
            both.update(table_hash(read(folder, table, columns), columns))
    return both.hexdigest()


if __name__ == "__main__":
    if len(sys.argv[1:]) != 1:
        sys.exit("Usage: python examples/recompute_hash.py FOLDER")
    folder = Path(sys.argv[1])
    manifest = json.loads((folder / "manifest.json").read_text("utf-8"))
    found = content_hash(folder, manifest)
    is_right = found == manifest["content_hash"]
    sys.stdout.write(f"{found} is {'' if is_right else 'NOT '}what was published\n")
    sys.exit(not is_right)
