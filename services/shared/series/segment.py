"""A segment: an Arrow IPC file of rows in order, in record batches of about 1 MiB.

It never changes once it has its name. What is needed to find rows in it (where
each message lies, its rows, its first and last time) is kept in memory, about 40
bytes a MiB; the rows themselves are only mapped.
"""

from __future__ import annotations

import mmap
import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from services.shared.arrow_stream import StoredMessage
from services.shared.arrow_stream.messages import (
    Kind,
    read_envelope,
)
from services.shared.errors import DataLoss, Stage1Error
from services.shared.series.pages import Reach, can_be_told
from services.shared.series.projection import Projection

_MAGIC: Final = b"ARROW1\0\0"
_END: Final = b"ARROW1"
_DAMAGE: Final = (
    Stage1Error,
    pa.ArrowException,
    OSError,
    ValueError,
    IndexError,
    struct.error,
)
_PLACES: Final = ("offsets", "lengths", "starts", "first_ms", "last_ms")


@dataclass(frozen=True, kw_only=True, eq=False)
class Segment:
    path: Path
    schema: pa.Schema
    offsets: NDArray[np.int64]
    lengths: NDArray[np.int64]
    starts: NDArray[np.int64]
    """Rows before each batch, and at its end the rows of all."""
    first_ms: NDArray[np.int64]
    last_ms: NDArray[np.int64]

    @property
    def rows(self) -> int:
        return int(self.starts[-1])

    @property
    def size(self) -> int:
        return int(self.lengths.sum())

    @property
    def end(self) -> int:
        """Of its last message; behind it the file has only what other programs look for."""
        return int(self.offsets[-1] + self.lengths[-1])

    @property
    def first_row(self) -> int:
        return named_rows(self.path)[0]

    @property
    def covered_rows(self) -> int:
        """As they were written: of rows with one key the last is left when segments are merged."""
        return named_rows(self.path)[1] or self.rows

    @property
    def first(self) -> int:
        return int(self.first_ms[0])

    @property
    def last(self) -> int:
        return int(self.last_ms[-1])


def has_same_rows_at_same_places(one: Segment, other: Segment) -> bool:
    return one.path == other.path and all(
        np.array_equal(getattr(one, name), getattr(other, name)) for name in _PLACES
    )


def named_rows(path: Path) -> tuple[int, int]:
    """The rows before a segment, and for how many it stands; 0 for as many as it has."""
    first, _, covered = path.stem.partition("+")
    return int(first), int(covered or 0)


def load_segment(path: Path, schema: pa.Schema, time: str) -> Segment:
    """Raises DataLoss when the file is not what was written, FileNotFoundError when it is gone."""
    with _DamageIsTold(path):
        return _loaded(path, schema, time)


class _DamageIsTold:
    """A context manager; a generator would take longer than what most messages need."""

    __slots__ = ("_path",)

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, _DAMAGE) and not isinstance(error, DataLoss | FileNotFoundError):
            raise DataLoss(f"The segment {self._path} is damaged.") from error


def _loaded(path: Path, schema: pa.Schema, time: str) -> Segment:
    mapped = _map(path)
    column = schema.get_field_index(time)
    found: list[tuple[int, int, int, int, int]] = []
    for offset, length in _messages(path, mapped):
        batch = pa.ipc.read_record_batch(mapped.slice(offset, length), schema)
        times = batch.column(column)
        found.append((offset, length, len(times), times[0].as_py(), times[-1].as_py()))
    if not found:
        raise DataLoss(f"The segment {path} has no rows.")
    offsets, lengths, rows, first_ms, last_ms = np.array(found, np.int64).T
    starts = np.concatenate(([0], np.cumsum(rows)))
    return Segment(
        path=path,
        schema=schema,
        offsets=offsets,
        lengths=lengths,
        starts=starts,
        first_ms=first_ms,
        last_ms=last_ms,
    )


def _messages(path: Path, mapped: pa.Buffer) -> Iterator[tuple[int, int]]:
    view = memoryview(mapped).cast("B")
    position = len(_MAGIC)
    if bytes(view[:position]) != _MAGIC or bytes(view[-len(_END) :]) != _END:
        raise DataLoss(f"The segment {path} has lost its beginning or its end.")
    while envelope := read_envelope(view[position:], len(view)):
        if envelope.kind is Kind.END:
            return
        if envelope.kind is Kind.BATCH:
            yield position, envelope.length
        position += envelope.length
    raise DataLoss(f"The segment {path} stops in the middle.")


def _map(path: Path, least: int = 1) -> pa.Buffer:
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        if size < least:
            raise DataLoss(f"The segment {path} is damaged: it ends after {size} bytes.")
        return pa.py_buffer(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))


@lru_cache(maxsize=64)
def _mapped(segment: Segment) -> pa.Buffer:
    """Kept for the next reader: a fresh mapping costs as much again as reading it."""
    return _map(segment.path, segment.end)


forget_mappings = _mapped.cache_clear


class OpenSegment:
    """A segment as one reader uses it; its batches keep it mapped."""

    def __init__(self, segment: Segment, time: str) -> None:
        self.segment = segment
        # They give plain ints, in a tenth of the time of their arrays.
        self._offsets = segment.offsets.data
        self._lengths = segment.lengths.data
        self._starts = segment.starts.data
        self._time = time
        self._mapping: pa.Buffer | None = None
        self.is_told = False
        """It is open, and which of its pages are in memory can be known."""

    def map(self) -> pa.Buffer:
        """Opens the file, unless that was done. Raises FileNotFoundError when it is gone."""
        if self._mapping is None:
            self._mapping = _mapped(self.segment)
            self.is_told = can_be_told(self.segment.path)
        return self._mapping

    def message(self, position: int, reach: Reach) -> StoredMessage:
        ipc = self._ipc(position)
        reach(ipc)
        return StoredMessage(ipc, self.rows_of(position))

    def rows_of(self, position: int) -> int:
        return self._starts[position + 1] - self._starts[position]

    def batch(self, position: int) -> pa.RecordBatch:
        """Mapped; nothing of it is read but what it is."""
        ipc = self._ipc(position)
        with _DamageIsTold(self.segment.path):
            return pa.ipc.read_record_batch(ipc, self.segment.schema)

    def projected(
        self, position: int, start: int, stop: int, projection: Projection, reach: Reach
    ) -> pa.RecordBatch:
        """Rows [start, stop) of some columns; the others are not even looked for."""
        ipc = self._ipc(position)
        with _DamageIsTold(self.segment.path):
            batch = projection.batch(ipc, reach)
        return batch.slice(start, stop - start)

    def values(
        self, position: int, start: int, stop: int, projection: Projection, reach: Reach
    ) -> list[pa.Buffer] | None:
        """Of columns of eight bytes a row where they lie; None when there are nulls."""
        ipc = self._ipc(position)
        with _DamageIsTold(self.segment.path):
            return projection.values(ipc, start, stop, reach)

    def _ipc(self, position: int) -> pa.Buffer:
        return self.map().slice(self._offsets[position], self._lengths[position])

    def parts(self, start: int, stop: int) -> Iterator[tuple[int, int, int]]:
        """(batch, its first row, its end) for the rows [start, stop)."""
        starts = self._starts
        position = int(np.searchsorted(self.segment.starts, start, "right")) - 1
        while start < stop:
            end = min(stop, starts[position + 1])
            yield position, start - starts[position], end - starts[position]
            start, position = end, position + 1

    def slices(self, start: int, stop: int) -> list[pa.RecordBatch]:
        return [self.batch(i).slice(a, b - a) for i, a, b in self.parts(start, stop)]

    def lower_bound(self, ms: int) -> int:
        """The first row at or after this time."""
        segment = self.segment
        position = int(np.searchsorted(segment.last_ms, ms))
        if position == len(segment.last_ms) or ms <= segment.first_ms[position]:
            return int(segment.starts[position])  # known without a look into the file
        times = self.batch(position).column(self._time).to_numpy()
        return int(segment.starts[position] + np.searchsorted(times, ms))

    def time_at(self, row: int) -> int:
        ((position, offset, end),) = self.parts(row, row + 1)
        if offset == 0:
            return int(self.segment.first_ms[position])
        if end == self.rows_of(position):
            return int(self.segment.last_ms[position])
        time: int = self.batch(position).column(self._time)[offset].as_py()
        return time
