"""Predictions, trades and equity in the series store.

A fold's predictions are the rows of its committed attempt: rows of other attempts may lie
beside them and are never read. A simulation's attempt has tables of its own.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import (
    AsyncGenerator,
    AsyncIterator,
    Iterable,
    Sequence,
)
from contextlib import aclosing
from dataclasses import dataclass
from typing import Final
from uuid import UUID

import pyarrow as pa

from services.runs.domain.folds import Fold, FoldResult
from services.runs.domain.runs import Run
from services.runs.domain.simulations import Simulation
from services.runs.storage.stretches import Stretch, arranged, only_counted, stretches
from services.shared.arrow_stream import Piece
from services.shared.series import SeriesStore, Times

SENT: Final = pa.schema(
    [
        pa.field("timestamp_ms", pa.int64(), nullable=False),
        pa.field("bar_index", pa.int64(), nullable=False),
        pa.field("prediction", pa.float64(), nullable=False),
        pa.field("target", pa.float64()),
    ]
)
_STORED: Final = pa.schema(
    [
        pa.field("timestamp_ms", pa.int64(), nullable=False),
        pa.field("bar_index", pa.int64(), nullable=False),
        pa.field("fold", pa.int64(), nullable=False),
        pa.field("attempt", pa.int64(), nullable=False),
        pa.field("prediction", pa.float64(), nullable=False),
        pa.field("target", pa.float64()),
        pa.field("long_threshold", pa.float64()),
        pa.field("short_threshold", pa.float64()),
    ]
)
COLUMNS: Final = tuple(name for name in _STORED.names if name != "attempt")
_OURS: Final = re.compile(
    r".+_(?P<kind>wf|sim)_(?P<id>[0-9a-f]{32})(_(trades|equity)_a(?P<a>\d+))?"
)


@dataclass(frozen=True, kw_only=True)
class OwnTable:
    """A table of ours by its name; predictions have no attempt."""

    name: str
    is_simulation: bool
    subject_id: UUID
    attempt: int | None


class Series:
    def __init__(self, store: SeriesStore) -> None:
        self._store = store

    async def prepare(self, run: Run) -> None:
        key = ("timestamp_ms", "fold", "attempt")
        await self._store.create(run.predictions_table, _STORED, key=key)

    async def write_fold(
        self, run: Run, number: int, result: FoldResult, batches: Sequence[pa.RecordBatch]
    ) -> None:
        """Returns when they can be read; they count once the fold's row names the attempt."""
        table = run.predictions_table
        stored = (_stored(batch, number, result) for batch in batches)
        await self._store.write(table, _each(stored))
        await self._store.settle(table)

    @staticmethod
    def schema(columns: Sequence[str] = COLUMNS) -> pa.Schema:
        """Of predictions, also where none are stored yet."""
        return pa.schema(_STORED.field(name) for name in columns)

    async def predictions(
        self,
        run: Run,
        folds: Iterable[Fold],
        columns: Sequence[str] = COLUMNS,
        *,
        start_ms: int | None = None,
        end_ms: int | None = None,
    ) -> AsyncGenerator[pa.RecordBatch]:
        """Of stored folds, in the order of their numbers, then by time."""
        for stretch in stretches(folds, run.plan.dataset.facts.bar_interval_ms):
            start = stretch.start if start_ms is None else max(start_ms, stretch.start)
            end = stretch.end if end_ms is None else min(end_ms, stretch.end)
            if start >= end:
                continue
            read = self._tangled if stretch.is_tangled else self._in_order
            async with aclosing(read(run, stretch, columns, Times(start, end))) as rows:
                async for batch in rows:
                    yield batch

    async def _in_order(
        self, run: Run, stretch: Stretch, columns: Sequence[str], span: Times
    ) -> AsyncGenerator[pa.RecordBatch]:
        table = run.predictions_table
        rows = self._store.read(table, columns, span=span, where=stretch.where)
        async with aclosing(rows):
            async for batch in rows:
                yield batch

    async def _tangled(
        self, run: Run, stretch: Stretch, columns: Sequence[str], span: Times
    ) -> AsyncGenerator[pa.RecordBatch]:
        needed = list(dict.fromkeys([*columns, "fold", "attempt"]))
        async with aclosing(self._store.read(run.predictions_table, needed, span=span)) as rows:
            counted = [only_counted(batch, stretch) async for batch in rows]
        for batch in await asyncio.to_thread(arranged, counted, columns):
            yield batch

    async def begin_simulated(self, table: str, schema: pa.Schema, key: Sequence[str]) -> None:
        await self._store.create(table, storable(schema), key=key)

    async def write_simulated(self, table: str, batches: Sequence[pa.RecordBatch]) -> None:
        """Whole numbers of any width are stored as int64."""
        await self._store.write(table, _each(b.cast(storable(b.schema)) for b in batches))

    async def settle(self, table: str) -> None:
        await self._store.settle(table)

    async def simulated(
        self, simulation: Simulation, kind: str
    ) -> tuple[pa.Schema, AsyncGenerator[Piece]]:
        table = simulation.table(kind)
        names = [n for n in (await self._store.schema(table)).names if n != "index"]
        return await self._store.schema(table, names), self._store.read_pieces(table, names)

    async def drop(self, table: str) -> None:
        await self._store.drop(table)

    async def drop_of(self, *subject_ids: UUID) -> None:
        """Every table of these runs and simulations."""
        for table in await self.own_tables():
            if table.subject_id in subject_ids:
                await self._store.drop(table.name)

    async def own_tables(self) -> list[OwnTable]:
        found = ((name, _OURS.fullmatch(name)) for name in await self._store.tables())
        return [
            OwnTable(
                name=name,
                is_simulation=match["kind"] == "sim",
                subject_id=UUID(match["id"]),
                attempt=int(match["a"]) if match["a"] else None,
            )
            for name, match in found
            if match
        ]


def storable(schema: pa.Schema) -> pa.Schema:
    return pa.schema(f.with_type(pa.int64()) if pa.types.is_integer(f.type) else f for f in schema)


def _stored(batch: pa.RecordBatch, number: int, result: FoldResult) -> pa.RecordBatch:
    rows, found = batch.num_rows, result.thresholds
    return pa.record_batch(
        [
            batch["timestamp_ms"],
            batch["bar_index"],
            pa.repeat(pa.scalar(number, pa.int64()), rows),
            pa.repeat(pa.scalar(result.attempt, pa.int64()), rows),
            batch["prediction"],
            batch["target"],
            pa.repeat(pa.scalar(found.long_percentile, pa.float64()), rows),
            pa.repeat(pa.scalar(found.short_percentile, pa.float64()), rows),
        ],
        schema=_STORED,
    )


async def _each(batches: Iterable[pa.RecordBatch]) -> AsyncIterator[pa.RecordBatch]:
    for batch in batches:
        yield batch
