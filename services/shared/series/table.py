"""One table of Arrow files: its columns, its key, and its segments in memory."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, NamedTuple

import pyarrow as pa

from services.shared.arrow_stream import CHUNK_BYTES, Assembler, Piece, size_of
from services.shared.arrow_stream.scattered import FIXED_BYTES
from services.shared.errors import DataLoss, Stage1Error
from services.shared.series import TIME, NoSuchTable, Rows, Span
from services.shared.series.columns import check_selection, readable, selected, times_of
from services.shared.series.disk import sync_folder, write_whole
from services.shared.series.merging import in_key_order
from services.shared.series.segment import (
    OpenSegment,
    Projection,
    Segment,
    has_same_rows_at_same_places,
    load_segment,
    named_rows,
    read_now,
)

_SCHEMA_FILE: Final = "schema.arrow"
_KEY: Final = b"stage1.key"


@dataclass(kw_only=True)
class Table:
    name: str
    folder: Path
    columns: pa.Schema
    key: tuple[str, ...]
    segments: list[Segment] = field(default_factory=list)
    rows: int = 0
    """As written; with a longer key some may be the same row again."""
    dropped: bool = False
    not_compactable: int = 0
    """Of the first segments, among which are damaged ones."""
    growing: asyncio.Lock = field(default_factory=asyncio.Lock)
    compacting: asyncio.Lock = field(default_factory=asyncio.Lock)

    @property
    def has_index(self) -> bool:
        return self.key == (TIME,)

    @property
    def stored(self) -> pa.Schema:
        """With `index` in front where there is one, so that stored messages can be sent as is."""
        return readable(self.columns, self.key)

    def segment_path(self) -> Path:
        """Of the next segment: named by its first row."""
        return self.folder / f"{self.rows:015d}.arrow"

    def add(self, path: Path) -> None:
        segment = self.loaded(path)
        self.segments = [*self.segments, segment]
        self.rows += segment.covered_rows

    def read_anew(self, segments: Sequence[Segment]) -> list[Segment]:
        """Of the files as they are now. Raises DataLoss when one is damaged, lost or another."""
        try:
            return [self._read_anew(segment) for segment in segments]
        except FileNotFoundError as error:
            raise self.lost(error) from error

    def _read_anew(self, known: Segment) -> Segment:
        """What is as it was stays the same object: its readers keep its file from compaction."""
        fresh = self.loaded(known.path)
        if fresh.rows != known.rows:
            raise DataLoss(
                f"The segment {known.path} has {fresh.rows} rows instead of {known.rows}."
            )
        return known if has_same_rows_at_same_places(known, fresh) else fresh

    def lost(self, error: FileNotFoundError) -> Stage1Error:
        if self.dropped:
            return NoSuchTable(f"Table {self.name} was dropped while it was read.")
        return DataLoss(f"Table {self.name} has lost its file {error.filename}.")

    def loaded(self, path: Path) -> Segment:
        return load_segment(path, self.stored, TIME)

    def selected(self, columns: Sequence[str] | None) -> pa.Schema:
        return selected(self.stored, columns)


def write_empty_table(folder: Path, schema: pa.Schema, key: Sequence[str]) -> None:
    folder.mkdir()
    described = schema.remove_metadata().with_metadata({_KEY: ",".join(key)})
    write_whole(folder / _SCHEMA_FILE, described.serialize().to_pybytes())
    sync_folder(folder)


def load_table(name: str, folder: Path) -> Table | None:
    """None when there is none. Raises DataLoss when its files are not what was written.

    Takes covered segments away: nobody reads a table that is not open yet.
    """
    try:
        described = pa.ipc.read_schema(pa.py_buffer((folder / _SCHEMA_FILE).read_bytes()))
    except FileNotFoundError:
        return None
    except (pa.ArrowException, OSError) as error:
        raise DataLoss(f"The schema of table {name} is damaged.") from error
    key = tuple(described.metadata[_KEY].decode().split(","))
    table = Table(name=name, folder=folder, columns=described.remove_metadata(), key=key)
    for path in sorted(folder.glob("[0-9]*.arrow"), key=_longest_first):
        if named_rows(path)[0] == table.rows:
            table.add(path)
        elif _is_covered(table, path):  # by one that took its place
            path.unlink()
        else:
            raise DataLoss(f"Table {name} has the segment {path.name} after {table.rows} rows.")
    return table


def _longest_first(path: Path) -> tuple[int, int]:
    first, covered = named_rows(path)
    return first, -covered


def _is_covered(table: Table, path: Path) -> bool:
    first = named_rows(path)[0]
    if first > table.rows:
        return False
    return first + table.loaded(path).covered_rows <= table.rows


@dataclass(frozen=True, kw_only=True)
class Selection:
    """What a reader asked for, of the segments there were when it asked."""

    table: Table
    segments: Sequence[Segment]
    columns: Sequence[str] | None
    span: Span | None
    below_ms: int | None
    where: Mapping[str, int]

    def check(self) -> None:
        self.table.selected(self.columns)
        check_selection(self.table.name, self.table.key, self.span, self.where)

    def pieces(self, *, stored: bool) -> Iterator[Piece]:
        """Blocks on the disk. Stored messages where wanted and possible.

        Raises NoSuchTable when the table is dropped meanwhile, DataLoss for lost and short files.
        """
        try:
            yield from self._pieces(stored)
        except FileNotFoundError as error:
            raise self.table.lost(error) from error

    def _pieces(self, stored: bool) -> Iterator[Piece]:
        opened = [OpenSegment(segment, TIME) for segment in self.segments]
        if not self.table.has_index:
            yield from gathered(self._projected(self._merged(opened)))
        elif self.columns is None or list(self.columns) == self.table.stored.names:
            for part in self._parts(opened):
                yield _piece(part, stored=stored)
        else:
            projection = Projection(self.table.stored, self.columns)
            parts = self._parts(opened)
            yield from scattered(parts, projection) if stored else projected(parts, projection)

    def _parts(self, opened: Sequence[OpenSegment]) -> Iterator[Part]:
        """Of every batch that is asked for."""
        low, high = self._row_range(opened)
        first = 0
        for source in opened:
            rows = source.segment.rows
            for part in source.parts(max(low - first, 0), min(high - first, rows)):
                yield Part(source, *part)
            first += rows

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
            yield read_now(batch if self.columns is None else batch.select(self.columns))


def _lower_bound(opened: Sequence[OpenSegment], ms: int) -> int:
    """The first row of the table at or after this time."""
    first = 0
    for source in opened:
        if ms <= source.segment.last:
            return first + source.lower_bound(ms)
        first += source.segment.rows
    return first


class Part(NamedTuple):
    """Rows [start, stop) of one batch of a segment."""

    source: OpenSegment
    position: int
    start: int
    stop: int


def _piece(part: Part, *, stored: bool) -> Piece:
    source, position, start, stop = part
    starts = source.segment.starts
    if stored and stop - start == starts[position + 1] - starts[position]:
        return source.message(position)
    return read_now(source.batch(position).slice(start, stop - start))


def projected(parts: Iterator[Part], projection: Projection) -> Iterator[pa.RecordBatch]:
    return gathered(
        part.source.projected(part.position, part.start, part.stop, projection) for part in parts
    )


def scattered(parts: Iterator[Part], projection: Projection) -> Iterator[Piece]:
    """Messages of about 1 MiB of columns where they lie; copied ones where there are nulls."""
    assembler = Assembler(projection.schema)
    if not assembler.is_possible:
        yield from projected(parts, projection)
        return
    most = max(1, CHUNK_BYTES // (FIXED_BYTES * len(projection.columns)))
    for group in _of_rows(parts, most):
        values = [
            part.source.values(part.position, part.start, part.stop, projection) for part in group
        ]
        whole = [buffers for buffers in values if buffers is not None]
        if len(whole) < len(values):
            yield from projected(iter(group), projection)
        else:
            rows = sum(part.stop - part.start for part in group)
            yield assembler.message(list(zip(*whole, strict=True)), rows)


def _of_rows(parts: Iterator[Part], rows: int) -> Iterator[list[Part]]:
    """Parts together that have about so many rows, but not many more."""
    group: list[Part] = []
    count = 0
    for part in parts:
        size = part.stop - part.start
        if group and count + size > rows * 5 // 4:
            yield group
            group, count = [], 0
        group.append(part)
        count += size
    if group:
        yield group


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
