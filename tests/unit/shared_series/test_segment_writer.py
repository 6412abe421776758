from __future__ import annotations

from pathlib import Path

import pytest

from services.shared.series import TIME
from services.shared.series.segment import load_segment
from services.shared.series.segment_writer import SegmentWriter
from tests.contract.series_examples import BARS, bars


def test_a_segment_never_takes_the_place_of_a_file(tmp_path: Path) -> None:
    path = tmp_path / "segment"
    path.write_bytes(b"what is there")
    with pytest.raises(FileExistsError):
        SegmentWriter(path, BARS)
    assert path.read_bytes() == b"what is there"


def test_of_a_discarded_segment_nothing_is_left(tmp_path: Path) -> None:
    writer = SegmentWriter(tmp_path / "segment", BARS)
    writer.write(bars(0, 10))
    writer.discard()
    assert list(tmp_path.iterdir()) == []


def test_a_finished_segment_that_nobody_named_can_be_discarded(tmp_path: Path) -> None:
    writer = SegmentWriter(tmp_path / "segment", BARS)
    writer.write(bars(0, 10))
    writer.finish()
    writer.discard()
    assert list(tmp_path.iterdir()) == []


def test_a_segment_that_has_its_name_outlives_its_writer(tmp_path: Path) -> None:
    named = tmp_path / "named"
    writer = SegmentWriter(tmp_path / "segment", BARS)
    writer.write(bars(0, 10))
    writer.finish()
    writer.path.rename(named)
    writer.discard()
    assert load_segment(named, BARS, TIME).rows == 10
