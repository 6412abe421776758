"""Damaged files are refused or read as what they say: never a crash, never a value from nowhere."""

from __future__ import annotations

import random
import tempfile
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest

from services.dataset.formats import Kind, Options, read
from services.shared.errors import Stage1Error
from tests.unit.dataset_formats.test_round_trip import LAYOUTS, START, Bar

BARS = [
    Bar(START + timedelta(hours=13 * hour), 1.5, 2.25, 1.125, 1.75, 100.0 + hour)
    for hour in range(40)
]
ODD = [b",", b"\n", b"\r", b'"', b"\0", b"-", b".", b"e", b"9", b" ", b"\xff", b"inf", b"nan", b";"]


def mutated(content: bytes, chance: random.Random) -> bytes:
    at = chance.randrange(len(content))
    length = chance.choice([0, 1, 1, 2, 8, 60])
    piece = chance.choice(
        [b"", chance.choice(ODD), chance.randbytes(length), content[at : at + length]]
    )
    return content[:at] + piece + content[at + length :]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_damaged_file_is_refused_or_keeps_every_rule(layout: str) -> None:
    chance = random.Random(layout)
    written = LAYOUTS[layout](BARS)
    content = written.encode() if isinstance(written, str) else written
    outcomes = {"read": 0, "refused": 0}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "file")
        for _ in range(250):
            path.write_bytes(mutated(content, chance))
            outcomes[outcome(path)] += 1
    assert outcomes["refused"] > 50


def outcome(path: Path) -> str:
    try:
        table = read(path, Kind.OHLCV, Options(max_bytes=1 << 24)).table
    except Stage1Error:
        return "refused"
    table.validate(full=True)
    open_, high, low, close = (table[name].to_numpy() for name in ("open", "high", "low", "close"))
    assert (np.diff(table["timestamp_ms"].to_numpy()) > 0).all()
    assert (low > 0).all()
    assert np.isfinite(high).all()
    assert (low <= np.minimum(open_, close)).all()
    assert (high >= np.maximum(open_, close)).all()
    return "read"


@pytest.mark.parametrize("layout", ["dukascopy", "iso", "tssb spaces", "unix"])
def test_a_text_file_without_one_of_its_lines_has_one_row_less(layout: str) -> None:
    written = LAYOUTS[layout](BARS)
    assert isinstance(written, str)
    lines = written.splitlines(keepends=True)
    first = len(lines) - len(BARS)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "file")
        path.write_text(written)
        whole = read(path, Kind.OHLCV, Options()).table
        for left_out in range(first, len(lines)):
            path.write_text("".join(lines[:left_out] + lines[left_out + 1 :]))
            table = read(path, Kind.OHLCV, Options()).table
            kept = np.arange(len(BARS)) != left_out - first
            assert table == whole.filter(kept)
