"""`dataset export`: a folder that is there whole or not at all, and keeps every bit."""

from __future__ import annotations

import io
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import polars as pl
import pyarrow as pa
import pytest

from gateway.cli.__main__ import run
from gateway.cli.exit_codes import ExitCode
from tests.unit.cli.scripted_server import Call, answering

VALUES = [0.1, 5e-324, 1.7976931348623157e308, 123456789012345680.0, math.nan, None, -1 / 3]
MANIFEST: dict[str, Any] = {
    "dataset_slug": "a",
    "dataset_id": "seven",
    "version": 3,
    "symbol": "X",
    "granularity": "1h",
    "source": "",
    "ohlcv_rows": len(VALUES),
    "indicator_rows": 0,
    "bar_interval_ms": 3_600_000,
    "lookback_rows": 0,
    "lookahead_rows": 0,
    "gaps": [],
    "calendar": "24x7",
    "timestamp_convention": "open",
    "gap_policy": "mark",
    "columns": [],
    "first_ohlcv_timestamp_ms": 0,
    "last_ohlcv_timestamp_ms": 0,
    "content_hash": "h",
}
READERS: dict[str, Callable[[Path], pl.DataFrame]] = {
    "csv": pl.read_csv,
    "parquet": pl.read_parquet,
    "arrow": pl.read_ipc,
}


def stream(rows: int = len(VALUES)) -> bytes:
    """Two batches, as the gateway sends them."""
    table = pa.table(
        {
            "index": range(len(VALUES)),
            "timestamp_ms": range(len(VALUES)),
            "close": pa.array(VALUES, pa.float64(), from_pandas=False),
            "text": ["", None, "a,b", '"', "x\ny", " s ", "z"],
        }
    ).slice(0, rows)
    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table, max_chunksize=4)
    return sink.getvalue()


def serving(body: bytes) -> Callable[[Call], None]:
    def answer(call: Call) -> None:
        if "/manifest" in call.path:
            return call.json(200, MANIFEST)
        assert call.path == "/api/datasets/seven/ohlcv?format=arrow&version=3"
        call.send_response(200)
        call.send_header("content-length", str(len(body)))
        call.end_headers()
        call.wfile.write(body)
        return None

    return answer


def export(folder: Path, *options: str, body: bytes | None = None) -> ExitCode:
    with answering(serving(stream() if body is None else body)) as url:
        arguments = ["dataset", "export", "a", str(folder), *options, "--url", url]
        return ExitCode(run(arguments))


@pytest.mark.parametrize("form", READERS)
def test_every_format_keeps_every_bit_and_what_is_missing_is_null(
    form: str, tmp_path: Path
) -> None:
    folder = tmp_path / "deep" / "a"
    assert export(folder, "--format", form) == ExitCode.OK
    assert {path.name for path in folder.iterdir()} == {f"ohlcv.{form}", "manifest.json"}
    assert orjson.loads((folder / "manifest.json").read_bytes()) == MANIFEST
    read = READERS[form](folder / f"ohlcv.{form}")
    assert read.columns == ["timestamp_ms", "close", "text"]
    wanted = [None if value is None or math.isnan(value) else value for value in VALUES]
    assert read["close"].to_list() == wanted
    assert read["text"].to_list() == ["", None, "a,b", '"', "x\ny", " s ", "z"]
    bits = np.array([v for v in wanted if v is not None]).view(np.int64)
    assert (read["close"].drop_nulls().to_numpy().view(np.int64) == bits).all()


def test_what_is_there_is_replaced_only_by_force(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "a"
    folder.mkdir()
    assert export(folder) == ExitCode.OK
    assert export(folder, "--format", "csv") == ExitCode.CONFLICT
    assert "--force replaces it" in capfd.readouterr().err
    assert export(folder, "--format", "csv", "--force") == ExitCode.OK
    assert {path.name for path in folder.iterdir()} == {"ohlcv.csv", "manifest.json"}
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_force_replaces_nothing_that_no_export_wrote(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work", "utf-8")
    assert export(tmp_path, "--force") == ExitCode.CONFLICT
    assert (tmp_path / "thesis.txt").exists()
    assert export(tmp_path / "thesis.txt", "--force") == ExitCode.CONFLICT


@pytest.mark.parametrize("body", [stream()[:-200], stream(rows=5)], ids=["torn", "short"])
def test_what_does_not_come_whole_leaves_what_was_there(body: bytes, tmp_path: Path) -> None:
    folder = tmp_path / "a"
    assert export(folder) == ExitCode.OK
    before = {path: path.read_bytes() for path in folder.iterdir()}
    assert export(folder, "--force", body=body) == ExitCode.INTERNAL
    assert {path: path.read_bytes() for path in folder.iterdir()} == before
    assert [path.name for path in tmp_path.iterdir()] == ["a"]
