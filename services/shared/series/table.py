"""One table of Arrow files: its columns, its key, and its segments in memory."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import pyarrow as pa

from services.shared.errors import DataLoss, Stage1Error
from services.shared.series import TIME, NoSuchTable
from services.shared.series.columns import readable, selected
from services.shared.series.disk import sync_folder, write_whole
from services.shared.series.segment import (
    Segment,
    has_same_rows_at_same_places,
    load_segment,
    named_rows,
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
