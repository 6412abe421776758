from __future__ import annotations

import errno
import os
from collections.abc import Iterator

import numpy as np
import pytest

from services.shared.errors import Exhausted
from services.trainer.domain import Refused
from services.trainer.frame import Frame, FrameFile, Shape

SHAPE = Shape(first_row=100, rows=5, columns=2)


@pytest.fixture
def file() -> Iterator[FrameFile]:
    file = FrameFile(SHAPE, ["a", "b"])
    yield file
    file.close()


def test_rows_written_in_batches_are_read_by_their_dataset_index(file: FrameFile) -> None:
    a, b, target = np.arange(5.0), np.arange(5.0) + 10, np.array([1.0, np.nan, 3, 4, 5])
    file.append([a[:2], b[:2]], target[:2])
    file.append([a[2:], b[2:]], target[2:])
    features, read = Frame(file.fileno(), SHAPE).rows(101, 104)
    assert features.tolist() == [[1, 11], [2, 12], [3, 13]]
    np.testing.assert_array_equal(read, [np.nan, 3, 4])


def test_the_rows_outlive_the_file_of_the_trainer(file: FrameFile) -> None:
    file.append([np.arange(5.0), np.ones(5)], np.zeros(5))
    frame = Frame(file.fileno(), SHAPE)
    file.close()
    assert frame.rows(104, 105)[0].tolist() == [[4, 1]]


def test_a_number_beyond_float32_names_its_column(file: FrameFile) -> None:
    with pytest.raises(Refused, match="Column b"):
        file.append([np.ones(2), np.array([1, 1e39])], np.zeros(2))


def test_a_full_disk_is_said(file: FrameFile, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "pwrite", full)
    with pytest.raises(Exhausted, match="No space left"):
        file.append([np.ones(1), np.ones(1)], np.zeros(1))
