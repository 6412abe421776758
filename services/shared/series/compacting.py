"""Small segments made into one, so that a table written in many small steps is read as fast.

    000000000000400.arrow                    a segment as it was written, named by the rows before
    000000000000400+000000000900.arrow       what took the place of those with the next 900 rows

The new file is whole and durable before it gets its name, and from then on it
counts; what it took the place of goes when its last reader has gone, or when the
table is opened the next time. Rows are written again a few times at most: pieces
below SMALL_BYTES together up to that, and pieces below LARGE_BYTES once more.
"""

from __future__ import annotations

import os
import weakref
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, NamedTuple

import pyarrow as pa

from services.shared.series import TIME
from services.shared.series.disk import sync_folder
from services.shared.series.merging import in_key_order
from services.shared.series.segment import (
    OpenSegment,
    Segment,
    forget_mappings,
    load_segment,
)
from services.shared.series.segment_writer import SegmentWriter
from services.shared.series.selection import gathered
from services.shared.series.table import Table

MANY: Final = 8
SMALL_BYTES: Final = 1 << 20
LARGE_BYTES: Final = 8 << 20


class Run(NamedTuple):
    """Neighbours [start, stop) of a table's segments."""

    start: int
    stop: int


def run_to_compact(sizes: Sequence[int]) -> Run | None:
    """At the end of a table; None when there are few small ones."""
    for least, most in ((0, SMALL_BYTES), (SMALL_BYTES, LARGE_BYTES)):
        start = len(sizes)
        while start and sizes[start - 1] < most:
            start -= 1
        if sum(size >= least for size in sizes[start:]) >= MANY:
            return Run(start, len(sizes))
    return None


def merge_segments(table: Table, segments: Sequence[Segment], aside: Path) -> None:
    """One durable segment of the rows of all, still aside. Blocks on the disk."""
    writer = SegmentWriter(aside, table.stored)
    try:
        for batch in gathered(_rows(table, segments)):
            writer.write(batch)
        writer.finish()
    except BaseException:
        writer.discard()
        raise


def _rows(table: Table, segments: Sequence[Segment]) -> Iterator[pa.RecordBatch]:
    sources = [(OpenSegment(segment, TIME), 0, segment.rows) for segment in segments]
    if not table.has_index:
        yield from in_key_order(sources, table.key)
        return
    for source, start, stop in sources:
        yield from source.slices(start, stop)


def take_place(table: Table, old: Sequence[Segment], aside: Path) -> None:
    """From here on the one counts for all of `old`, which are neighbours. Blocks on the disk."""
    if table.dropped:
        return
    covered = sum(segment.covered_rows for segment in old)
    path = table.folder / f"{old[0].first_row:015d}+{covered:012d}.arrow"
    os.rename(aside, path)
    sync_folder(table.folder)
    at = table.segments.index(old[0])
    new = load_segment(path, table.stored, TIME)
    table.segments = [*table.segments[:at], new, *table.segments[at + len(old) :]]
    forget_mappings()
    for segment in old:
        weakref.finalize(segment, _remove, table, segment.path).atexit = False


def _remove(table: Table, path: Path) -> None:
    if not table.dropped:  # else another table may have its name by now
        path.unlink(missing_ok=True)
