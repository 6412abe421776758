"""The series store on Arrow IPC files: a folder for each table, in it segments.

    <root>/.aside/            what is being written; emptied at start
    <root>/<table>/schema.arrow
    <root>/<table>/000000000000000.arrow    named by the rows before it; see `compacting`

Everything gets its name by a rename after it is on the disk, so a crash leaves
leftovers in `.aside` only. One process owns a root.
"""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import (
    AsyncGenerator,
    AsyncIterable,
    AsyncIterator,
    Mapping,
    Sequence,
)
from contextlib import aclosing, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Final
from uuid import uuid4

import pyarrow as pa
import structlog

from services.shared.arrow_stream import Piece, size_of
from services.shared.failpoints import reach
from services.shared.series import (
    TIME,
    Bounds,
    NoSuchTable,
    Span,
    TableDiffers,
    check_table_name,
)
from services.shared.series.columns import check_columns
from services.shared.series.compacting import merge_segments, run_to_compact, take_place
from services.shared.series.disk import disk_full_is_told, owned, sync_folder
from services.shared.series.driving import batches_of, pieces_of
from services.shared.series.growing import Growth, growth_of
from services.shared.series.segment import Segment, forget_mappings
from services.shared.series.selection import Selection
from services.shared.series.table import Table, load_table, write_empty_table
from services.shared.threads import in_thread

log = structlog.get_logger()

GROUP_BYTES: Final = 8 << 20


@asynccontextmanager
async def arrow_files(root: Path) -> AsyncIterator[ArrowFiles]:
    """Raises StoreInUse while another process has the root open."""
    aside = root / ".aside"
    await in_thread(aside.mkdir, parents=True, exist_ok=True)
    with owned(root):
        await in_thread(_empty, aside)
        yield ArrowFiles(root)


def _empty(folder: Path) -> None:
    shutil.rmtree(folder)
    folder.mkdir()


class ArrowFiles:
    def __init__(self, root: Path) -> None:
        self._root = root
        self._aside = root / ".aside"
        self._tables: dict[str, Table] = {}
        # Held while names appear and vanish, not while rows are written.
        self._naming = asyncio.Lock()

    async def create(self, table: str, schema: pa.Schema, *, key: Sequence[str] = (TIME,)) -> None:
        check_table_name(table)
        check_columns(schema, key)
        async with self._naming:
            there = await self._load(table)
            if there is None:
                await in_thread(self._create, table, schema, key)
            elif not there.columns.equals(schema) or there.key != tuple(key):
                raise TableDiffers(f"Table {table} is there with other columns or another key.")

    def _create(self, table: str, schema: pa.Schema, key: Sequence[str]) -> None:
        folder = self._aside / uuid4().hex
        try:
            with disk_full_is_told(self._root):
                write_empty_table(folder, schema, key)
                os.rename(folder, self._root / table)
                sync_folder(self._root)
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    async def write(self, table: str, batches: AsyncIterable[pa.RecordBatch]) -> None:
        found = await self._table(table)
        if found.has_index:  # rows get their ordinal as they are written
            async with found.growing:
                await self._write(found, batches)
        else:
            await self._write(found, batches)

    async def _write(self, table: Table, batches: AsyncIterable[pa.RecordBatch]) -> None:
        growth = growth_of(table, self._aside)
        try:
            with disk_full_is_told(self._root):
                async for group in _grouped(batches):
                    await in_thread(_add, growth, group)
                segments = await in_thread(growth.finish)
                async with self._naming:
                    await in_thread(_name, table, segments)
        finally:
            await in_thread(growth.discard)
        await self._compact(table)

    async def _compact(self, table: Table) -> None:
        """What was written is there already, so a failure is told to nobody but the log."""
        if table.compacting.locked():
            return
        async with table.compacting:
            sound = table.segments[table.not_compactable :]
            run = run_to_compact([segment.size for segment in sound])
            if run is None:
                return
            old = sound[run.start : run.stop]
            try:
                await self._make_one(table, old)
            except OSError as error:  # as a full disk, which may have room the next time
                log.warning("table_not_compacted", table=table.name, error=str(error))
            except Exception:
                table.not_compactable += run.stop
                log.exception("table_not_compactable", table=table.name)

    async def _make_one(self, table: Table, old: Sequence[Segment]) -> None:
        aside = self._aside / f"{table.name}.{uuid4().hex}"
        try:
            await in_thread(merge_segments, table, old, aside)
            await reach("series.compacting")
            async with self._naming:
                await in_thread(take_place, table, old, aside)
            await reach("series.compacted")
        finally:
            await in_thread(aside.unlink, missing_ok=True)

    async def settle(self, table: str) -> None:
        await self._table(table)

    async def schema(self, table: str, columns: Sequence[str] | None = None) -> pa.Schema:
        return (await self._table(table)).selected(columns)

    def read(
        self,
        table: str,
        columns: Sequence[str] | None = None,
        *,
        span: Span | None = None,
        below_ms: int | None = None,
        where: Mapping[str, int] | None = None,
    ) -> AsyncGenerator[pa.RecordBatch]:
        return batches_of(partial(self._select, table, columns, span, below_ms, where))

    def read_pieces(
        self,
        table: str,
        columns: Sequence[str] | None = None,
        *,
        span: Span | None = None,
        below_ms: int | None = None,
        where: Mapping[str, int] | None = None,
    ) -> AsyncGenerator[Piece]:
        return pieces_of(partial(self._select, table, columns, span, below_ms, where))

    async def _select(
        self,
        table: str,
        columns: Sequence[str] | None,
        span: Span | None,
        below_ms: int | None,
        where: Mapping[str, int] | None,
    ) -> Selection:
        found = await self._table(table)
        selection = Selection(
            table=found,
            segments=found.segments,
            columns=columns,
            span=span,
            below_ms=below_ms,
            where=where or {},
        )
        selection.check()
        return selection

    async def merge(self, staged: str, into: str) -> None:
        columns = (await self._table(into)).columns
        async with aclosing(self.read(staged, columns.names)) as rows:
            await self.write(into, rows)

    async def bounds(self, table: str) -> Bounds | None:
        """Of the files as they are now, which is also what is read from then on.

        Raises DataLoss for damaged and lost ones.
        """
        there = await self._read_anew(await self._table(table))
        if not there:
            return None
        first_ms = min(segment.first for segment in there)
        last_ms = max(segment.last for segment in there)
        return Bounds(sum(segment.covered_rows for segment in there), first_ms, last_ms)

    async def _read_anew(self, table: Table) -> list[Segment]:
        """Files may have been put in the place of others behind the back of this process."""
        forget_mappings()
        segments = table.segments  # held: so no compaction takes their files away
        fresh = await in_thread(table.read_anew, segments)
        async with self._naming:
            if table.dropped:
                raise NoSuchTable(f"Table {table.name} was dropped while it was read.")
            if table.segments is segments and not table.compacting.locked():
                table.segments = fresh
        return fresh

    async def drop(self, table: str) -> None:
        check_table_name(table)
        async with self._naming:
            there = await self._load(table)
            if there is None:
                return
            there.dropped = True
            del self._tables[table]
            forget_mappings()  # a mapped file keeps its place on the disk
            await in_thread(self._drop, there.folder)

    def _drop(self, folder: Path) -> None:
        aside = self._aside / uuid4().hex
        os.rename(folder, aside)
        sync_folder(self._root)
        shutil.rmtree(aside)

    async def tables(self) -> list[str]:
        return await in_thread(
            lambda: sorted(p.name for p in self._root.iterdir() if not p.name.startswith("."))
        )

    async def _table(self, name: str) -> Table:
        check_table_name(name)
        async with self._naming:
            table = await self._load(name)
        if table is None:
            raise NoSuchTable(f"There is no table {name}.")
        return table

    async def _load(self, name: str) -> Table | None:
        if name not in self._tables:
            table = await in_thread(load_table, name, self._root / name)
            if table is None:
                return None
            self._tables[name] = table
        return self._tables[name]


def _name(table: Table, segments: Sequence[Path]) -> None:
    """From here on the rows are there. Blocks."""
    if table.dropped:
        raise NoSuchTable(f"Table {table.name} was dropped while rows were written to it.")
    for aside in segments:
        path = table.segment_path()
        os.rename(aside, path)
        table.add(path)
    if segments:
        sync_folder(table.folder)


def _add(growth: Growth, group: Sequence[pa.RecordBatch]) -> None:
    growth.add(pa.concat_batches(group))


async def _grouped(batches: AsyncIterable[pa.RecordBatch]) -> AsyncIterator[list[pa.RecordBatch]]:
    """Enough rows at a time that their order and a thread's start cost little."""
    group: list[pa.RecordBatch] = []
    size = 0
    async for batch in batches:
        rows = max(1, batch.num_rows * GROUP_BYTES // size_of(batch))
        for start in range(0, batch.num_rows, rows):
            group.append(batch.slice(start, rows))
            size += size_of(group[-1])
            if size >= GROUP_BYTES:
                yield group
                group, size = [], 0
    if group:
        yield group
