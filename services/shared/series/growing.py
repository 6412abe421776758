"""Rows on their way into segments: checked, put in order, written aside."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Protocol
from uuid import uuid4

import numpy as np
import pyarrow as pa

from services.shared.canonical import TableHasher, column_types
from services.shared.series import TIME, TableDiffers, Times
from services.shared.series.columns import check_rows
from services.shared.series.merging import last_of_each_key
from services.shared.series.segment_writer import SegmentWriter
from services.shared.series.selection import Selection
from services.shared.series.table import Table


class Growth(Protocol):
    """The rows of one write; every method blocks on the disk."""

    def add(self, batch: pa.RecordBatch) -> None: ...

    def finish(self) -> list[Path]:
        """Durable segments, still aside, in the order in which they are to be named."""

    def discard(self) -> None: ...


def growth_of(table: Table, aside: Path) -> Growth:
    return Tail(table, aside) if table.has_index else Runs(table, aside)


def _new_segment(table: Table, aside: Path) -> SegmentWriter:
    return SegmentWriter(aside / f"{table.name}.{uuid4().hex}", table.stored)


def _check(table: Table, batch: pa.RecordBatch) -> None:
    check_rows(table.name, table.columns, table.key, batch)


class Tail:
    """One segment behind the last row of a table that is keyed by time alone."""

    def __init__(self, table: Table, aside: Path) -> None:
        self._table = table
        self._aside = aside
        self._next_row = table.rows
        self._end_ms = table.segments[-1].last if table.segments else None
        self._last_ms: int | None = None
        self._writer: SegmentWriter | None = None

    def add(self, batch: pa.RecordBatch) -> None:
        _check(self._table, batch)
        times = batch.column(TIME).to_numpy()
        follows = self._last_ms is None or times[0] > self._last_ms
        if not follows or np.any(np.diff(times) <= 0):
            raise TableDiffers(f"Rows for table {self._table.name} are not in order of time.")
        self._last_ms = int(times[-1])
        known = 0 if self._end_ms is None else int(np.searchsorted(times, self._end_ms, "right"))
        if known:
            self._compare(batch.slice(0, known))
        self._write(batch.slice(known))

    def _write(self, batch: pa.RecordBatch) -> None:
        if not batch.num_rows:
            return
        if self._writer is None:
            self._writer = _new_segment(self._table, self._aside)
        index = np.arange(self._next_row, self._next_row + batch.num_rows)
        columns = [pa.array(index), *batch.columns]
        self._writer.write(pa.RecordBatch.from_arrays(columns, schema=self._table.stored))
        self._next_row += batch.num_rows

    def _compare(self, repeated: pa.RecordBatch) -> None:
        times = repeated.column(TIME)
        span = Times(times[0].as_py(), times[-1].as_py() + 1)
        if _digest(self._stored(span), self._table) != _digest(iter([repeated]), self._table):
            raise TableDiffers(
                f"Table {self._table.name} has other rows from {span.start_ms} to "
                f"{span.end_ms} ms: what is written never changes."
            )

    def _stored(self, span: Times) -> Iterator[pa.RecordBatch]:
        return Selection(
            table=self._table,
            segments=self._table.segments,
            columns=None,
            span=span,
            below_ms=None,
            where={},
        ).batches()

    def finish(self) -> list[Path]:
        if self._writer is None:
            return []
        self._writer.finish()
        return [self._writer.path]

    def discard(self) -> None:
        if self._writer is not None:
            self._writer.discard()


def _digest(batches: Iterator[pa.RecordBatch], table: Table) -> bytes:
    hasher = TableHasher(column_types(table.columns))
    for batch in batches:
        hasher.update(batch)
    return hasher.finish().digest


class Runs:
    """As many segments as there are ascending runs of keys in what is written."""

    def __init__(self, table: Table, aside: Path) -> None:
        self._table = table
        self._aside = aside
        self._last: tuple[int, ...] | None = None
        self._writers: list[SegmentWriter] = []

    def add(self, batch: pa.RecordBatch) -> None:
        _check(self._table, batch)
        ordered = last_of_each_key(batch, self._table.key)
        if self._last is None or self._key_at(ordered, 0) <= self._last:
            self._finish_run()
            self._writers.append(_new_segment(self._table, self._aside))
        self._last = self._key_at(ordered, ordered.num_rows - 1)
        self._writers[-1].write(ordered)

    def _finish_run(self) -> None:
        if self._writers:
            self._writers[-1].finish()

    def _key_at(self, batch: pa.RecordBatch, row: int) -> tuple[int, ...]:
        return tuple(batch.column(name)[row].as_py() for name in self._table.key)

    def finish(self) -> list[Path]:
        self._finish_run()
        return [writer.path for writer in self._writers]

    def discard(self) -> None:
        for writer in self._writers:
            writer.discard()
