"""What a reader asked for of a table of Arrow files, as batches or as it lies in the files."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import pyarrow as pa

from services.shared.arrow_stream import CHUNK_BYTES, Assembler, Piece, size_of
from services.shared.arrow_stream.scattered import FIXED_BYTES
from services.shared.series import TIME, Rows, Span
from services.shared.series.columns import check_selection, times_of
from services.shared.series.merging import in_key_order
from services.shared.series.pages import Reach, read_pages
from services.shared.series.projection import Projection
from services.shared.series.segment import OpenSegment, Segment
from services.shared.series.table import Table


class Part(NamedTuple):
    """Rows [start, stop) of one batch of a segment."""

    source: OpenSegment
    position: int
    start: int
    stop: int


class MappedRows(NamedTuple):
    """Rows that can be sent from where they lie."""

    lots: Iterator[list[Part]]
    """Of about one message each; to know them takes no look into the files."""
    pieces: Callable[[list[Part], Reach], list[Piece]]
    """Of one lot; its pages go through `Reach` before they are used."""


@dataclass(frozen=True, kw_only=True)
class Selection:
    """Of the segments there were when the reader asked."""

    table: Table
    segments: Sequence[Segment]
    columns: Sequence[str] | None
    span: Span | None
    below_ms: int | None
    where: Mapping[str, int]

    def check(self) -> None:
        self.table.selected(self.columns)
        check_selection(self.table.name, self.table.key, self.span, self.where)

    @contextmanager
    def lost_files_told(self) -> Iterator[None]:
        """Raises NoSuchTable when the table is dropped meanwhile, DataLoss for lost files."""
        try:
            yield
        except FileNotFoundError as error:
            raise self.table.lost(error) from error

    def batches(self) -> Iterator[pa.RecordBatch]:
        """Blocks on the disk. Raises what `lost_files_told` does, DataLoss for short files."""
        with self.lost_files_told():
            yield from self._batches()

    def _batches(self) -> Iterator[pa.RecordBatch]:
        opened = self._opened()
        if not self.table.has_index:
            yield from gathered(self._projected(self._merged(opened)))
        elif self._is_of_all_columns:
            for part in self._parts(opened):
                yield _rows(part, read_pages)
        else:
            yield from projected(self._parts(opened), self._projection(), read_pages)

    def mapped(self) -> MappedRows | None:
        """None for rows that must be merged or cut out first. Blocks; lost files are not told."""
        if not self.table.has_index:
            return None
        parts = self._parts(self._opened())
        if self._is_of_all_columns:
            return MappedRows(([part] for part in parts), _stored)
        projection = self._projection()
        assembler = Assembler(projection.schema)
        if not assembler.is_possible:
            return None
        most = max(1, CHUNK_BYTES // (FIXED_BYTES * len(projection.columns)))
        return MappedRows(_of_rows(parts, most), partial(_scattered, projection, assembler))

    @property
    def _is_of_all_columns(self) -> bool:
        return self.columns is None or list(self.columns) == self.table.stored.names

    def _projection(self) -> Projection:
        return Projection(self.table.stored, self.columns or self.table.stored.names)

    def _opened(self) -> list[OpenSegment]:
        return [OpenSegment(segment, TIME) for segment in self.segments]

    def _parts(self, opened: Sequence[OpenSegment]) -> Iterator[Part]:
        """Of every batch that is asked for."""
        low, high = self._row_range(opened)
        return _parts_between(opened, low, high)

    def _row_range(self, opened: Sequence[OpenSegment]) -> tuple[int, int]:
        low, high = 0, sum(segment.rows for segment in self.segments)
        if isinstance(self.span, Rows):
            low, high = max(low, self.span.start), min(high, self.span.end)
        start_ms, end_ms = times_of(self.span, self.below_ms)
        if start_ms is not None:
            low = max(low, _lower_bound(opened, start_ms))
        if end_ms is not None:
            high = min(high, _lower_bound(opened, end_ms))
        return low, high

    def _merged(self, opened: Sequence[OpenSegment]) -> Iterator[pa.RecordBatch]:
        start_ms, end_ms = times_of(self.span, self.below_ms)
        sources = [
            (
                source,
                0 if start_ms is None else source.lower_bound(start_ms),
                source.segment.rows if end_ms is None else source.lower_bound(end_ms),
            )
            for source in opened
        ]
        for batch in in_key_order(sources, self.table.key):
            yield self._filtered(batch)

    def _filtered(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        for name, value in self.where.items():
            batch = batch.filter(pa.array(batch.column(name).to_numpy() == value))
        return batch

    def _projected(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            selected = batch if self.columns is None else batch.select(self.columns)
            for column in selected.columns:
                for buffer in filter(None, column.buffers()):
                    read_pages(buffer)
            yield selected


def _lower_bound(opened: Sequence[OpenSegment], ms: int) -> int:
    """The first row of the table at or after this time."""
    first = 0
    for source in opened:
        if ms <= source.segment.last:
            return first + source.lower_bound(ms)
        first += source.segment.rows
    return first


def _parts_between(opened: Sequence[OpenSegment], low: int, high: int) -> Iterator[Part]:
    first = 0
    for source in opened:
        rows = source.segment.rows
        for part in source.parts(max(low - first, 0), min(high - first, rows)):
            yield Part(source, *part)
        first += rows


def _of_rows(parts: Iterator[Part], rows: int) -> Iterator[list[Part]]:
    """Parts cut and put together to so many rows; the last lot has what is left."""
    lot: list[Part] = []
    room = rows
    for part in parts:
        while part.stop - part.start >= room:
            cut = part.start + room
            yield [*lot, part._replace(stop=cut)]
            part, lot, room = part._replace(start=cut), [], rows
        if part.stop > part.start:
            lot.append(part)
            room -= part.stop - part.start
    if lot:
        yield lot


def _stored(lot: list[Part], reach: Reach) -> list[Piece]:
    return [
        part.source.message(part.position, reach) if _is_whole(part) else _rows(part, reach)
        for part in lot
    ]


def _is_whole(part: Part) -> bool:
    return part.stop - part.start == part.source.rows_of(part.position)


def _rows(part: Part, reach: Reach) -> pa.RecordBatch:
    part.source.message(part.position, reach)
    return part.source.batch(part.position).slice(part.start, part.stop - part.start)


def _scattered(
    projection: Projection, assembler: Assembler, lot: list[Part], reach: Reach
) -> list[Piece]:
    """A message of columns where they lie; copied ones where there are nulls."""
    values = []
    rows = 0
    for source, position, start, stop in lot:
        found = source.values(position, start, stop, projection, reach)
        if found is None:
            return [*projected(iter(lot), projection, reach)]
        values.append(found)
        rows += stop - start
    return [assembler.message(values, rows)]


def projected(
    parts: Iterator[Part], projection: Projection, reach: Reach
) -> Iterator[pa.RecordBatch]:
    return gathered(
        part.source.projected(part.position, part.start, part.stop, projection, reach)
        for part in parts
    )


def gathered(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Small batches together: messages far below 1 MiB cost more than copying their rows."""
    held: list[pa.RecordBatch] = []
    size = 0
    for batch in batches:
        if not held and size_of(batch) >= CHUNK_BYTES // 3:
            yield batch
        elif batch.num_rows:
            held.append(batch)
            size += size_of(batch)
        if size >= CHUNK_BYTES * 3 // 4:
            yield pa.concat_batches(held)
            held, size = [], 0
    if held:
        yield pa.concat_batches(held)
