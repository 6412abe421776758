"""The rows of a job, shared with the worker that trains on them.

An unlinked temporary file: the trainer writes it batch by batch, the worker maps it
and takes folds as slices without copying. Nothing is left behind by a kill, it is not
bound by the 64 MiB that containers give to shared memory, and a full disk is an
error instead of a crash.
"""

from __future__ import annotations

import mmap
import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from typing import BinaryIO, Final

import numpy as np
from numpy.typing import NDArray

from services.shared.errors import Exhausted
from services.trainer.domain import Floats, Refused

_FLOAT: Final = np.dtype(np.float32).itemsize  # what XGBoost learns from
_DOUBLE: Final = np.dtype(np.float64).itemsize


@dataclass(frozen=True, kw_only=True)
class Shape:
    """First all targets, then the features row by row."""

    first_row: int  # index of the first row in the dataset
    rows: int
    columns: int

    @property
    def features_at(self) -> int:
        return self.rows * _DOUBLE

    @property
    def size(self) -> int:
        return self.features_at + self.rows * self.columns * _FLOAT


class FrameFile:
    def __init__(self, shape: Shape, names: Sequence[str]) -> None:
        self.shape = shape
        self._names = names
        self._file: BinaryIO = tempfile.TemporaryFile()  # noqa: SIM115  # closed by close()
        self._written = 0

    def fileno(self) -> int:
        return self._file.fileno()

    def append(self, columns: Sequence[Floats], target: Floats) -> None:
        """The next rows, features column by column. Raises Refused for numbers too large."""
        rows = np.empty((target.size, len(columns)), dtype=np.float32)
        with np.errstate(over="ignore"):
            for at, column in enumerate(columns):
                rows[:, at] = column
        too_large = np.isinf(rows).any(axis=0)
        if too_large.any():
            name = self._names[int(too_large.argmax())]
            raise Refused(f"Column {name} holds numbers beyond float32, which XGBoost learns from.")
        row_size = self.shape.columns * _FLOAT
        self._write(target.astype(np.float64, copy=False), self._written * _DOUBLE)
        self._write(rows, self.shape.features_at + self._written * row_size)
        self._written += target.size

    def _write(self, values: NDArray[np.generic], at: int) -> None:
        data = np.ascontiguousarray(values).data.cast("B")
        while data:
            try:
                written = os.pwrite(self.fileno(), data, at)
            except OSError as error:
                raise Exhausted(
                    f"The trainer cannot hold the rows in its temporary folder: {error.strerror}."
                ) from error
            data, at = data[written:], at + written

    def close(self) -> None:
        self._file.close()


class Frame:
    """The file, mapped for reading. Indices are the dataset's."""

    def __init__(self, fileno: int, shape: Shape) -> None:
        self._first = shape.first_row
        mapped = mmap.mmap(fileno, shape.size, access=mmap.ACCESS_READ)
        self._target: Floats = np.frombuffer(mapped, np.float64, shape.rows)
        count = shape.rows * shape.columns
        features = np.frombuffer(mapped, np.float32, count, shape.features_at)
        self._features = features.reshape(shape.rows, shape.columns)

    def rows(self, start: int, end: int) -> tuple[NDArray[np.float32], Floats]:
        """Features by row, and targets, NaN where not known."""
        at = slice(start - self._first, end - self._first)
        return self._features[at], self._target[at]
