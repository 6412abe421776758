"""Reading what was published: rows of one table, or indicator rows with their bars."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Collection, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import NamedTuple
from uuid import UUID

import numpy as np
import pyarrow as pa

from services.dataset.app.boundaries import TimesOf, lower_bounds, times_at
from services.dataset.app.descending import descending
from services.dataset.app.joining import OHLCV_INDEX, BatchesOf, joined
from services.dataset.domain.columns import Table
from services.dataset.domain.manifest import Manifest, measurement, rows_of, watermark
from services.dataset.domain.times import Times as Timestamps
from services.dataset.storage.protocol import Catalogue
from services.shared.arrow_stream import Piece
from services.shared.errors import DataLoss, InvalidRequest, Violation
from services.shared.series import INDEX, TIME, Rows, SeriesStore, Span, Times


@dataclass(frozen=True, kw_only=True)
class BarsQuery:
    """`index` and `timestamp_ms` always come; None asks for every column and every row."""

    name: UUID | str
    version: int | None
    table: Table
    columns: tuple[str, ...] | None
    span: Span | None
    descending: bool = False


class Reading(NamedTuple):
    """Pieces of an Arrow stream for `arrow_stream.encode`."""

    schema: pa.Schema
    pieces: AsyncGenerator[Piece]


class _Source(NamedTuple):
    """What is read, and how a span of it is."""

    schema: pa.Schema
    batches: BatchesOf
    pieces: Callable[[Span | None], AsyncGenerator[Piece]]


class Bars:
    def __init__(self, *, catalogue: Catalogue, series: SeriesStore) -> None:
        self._catalogue = catalogue
        self._series = series

    async def read(self, query: BarsQuery) -> Reading:
        """Raises InvalidRequest for unknown columns and for indices outside the table."""
        manifest = await self.manifest(query.name, query.version)
        measurement(manifest, query.table)
        span = _within(query.span, rows_of(manifest, query.table))
        columns = _columns(manifest, query)
        if query.table is Table.JOINED:
            schema, batches = await joined(self._series, manifest, columns)
            source = _Source(schema, batches, batches)
        else:
            # Rows as they are stored can be sent as they are stored.
            wanted = None if query.columns is None else [INDEX, TIME, *columns]
            source = await self._stored(manifest, query.table, wanted)
        if not query.descending:
            return Reading(source.schema, source.pieces(span))
        rows = await self.rows_in(manifest, query.table, span)
        return Reading(source.schema, descending(source.batches, rows, columns=len(source.schema)))

    async def _stored(self, manifest: Manifest, table: Table, wanted: list[str] | None) -> _Source:
        name, below_ms = measurement(manifest, table), watermark(manifest, table)

        def batches(span: Span | None) -> AsyncGenerator[pa.RecordBatch]:
            return self._series.read(name, wanted, span=span, below_ms=below_ms)

        def pieces(span: Span | None) -> AsyncGenerator[Piece]:
            return self._series.read_pieces(name, wanted, span=span, below_ms=below_ms)

        return _Source(await self._series.schema(name, wanted), batches, pieces)

    async def rows_in(self, manifest: Manifest, table: Table, span: Span | None) -> Rows:
        count = rows_of(manifest, table)
        if span is None:
            return Rows(0, count)
        if isinstance(span, Rows):
            return span
        asked = np.array([span.start_ms, span.end_ms])
        start, end = await lower_bounds(self._times_of(manifest, table), asked, count)
        return Rows(int(start), int(end))

    async def times_of(
        self, name: UUID | str, version: int | None, table: Table, indices: Sequence[int]
    ) -> list[int]:
        """The time of each index, which must lie within the table."""
        manifest = await self.manifest(name, version)
        asked = np.array(indices, dtype=np.int64)
        if not len(asked):
            return []
        _within(Rows(int(asked.min()), int(asked.max()) + 1), rows_of(manifest, table))
        found: list[int] = (await times_at(self._times_of(manifest, table), asked)).tolist()
        return found

    async def indices_of(
        self, name: UUID | str, version: int | None, table: Table, times_ms: Sequence[int]
    ) -> list[int]:
        """For each time the first index that is not earlier; the row count when there is none."""
        manifest = await self.manifest(name, version)
        asked = np.array(times_ms, dtype=np.int64)
        times_of, rows = self._times_of(manifest, table), rows_of(manifest, table)
        found: list[int] = (await lower_bounds(times_of, asked, rows)).tolist()
        return found

    def _times_of(self, manifest: Manifest, table: Table) -> TimesOf:
        name = measurement(manifest, table)

        async def times_of(rows: Rows) -> Timestamps:
            async with aclosing(self._series.read(name, [TIME], span=rows)) as batches:
                parts = [batch.column(0).to_numpy() async for batch in batches]
            times = np.concatenate([np.empty(0, np.int64), *parts])
            if len(times) != rows.end - rows.start:
                raise DataLoss(
                    f"Table {name} holds {len(times)} of the rows [{rows.start}, {rows.end})."
                )
            return times

        return times_of

    async def manifest(self, name: UUID | str, version: int | None) -> Manifest:
        async with self._catalogue.transaction() as catalogue:
            return (await catalogue.dataset(name, version)).manifest


def _within(span: Span | None, rows: int) -> Span | None:
    if isinstance(span, Rows) and not 0 <= span.start <= span.end <= rows:
        message = f"is [{span.start}, {span.end}), and the table has the rows [0, {rows})"
        raise InvalidRequest([Violation("indices", message)], reason="OUT_OF_RANGE")
    if isinstance(span, Times) and span.start_ms > span.end_ms:
        message = f"is [{span.start_ms}, {span.end_ms}), which ends before it starts"
        raise InvalidRequest([Violation("times", message)])
    return span


def _columns(manifest: Manifest, query: BarsQuery) -> list[str]:
    """In the order asked for, without those that always come."""
    tables = {Table.OHLCV, Table.INDICATORS} if query.table is Table.JOINED else {query.table}
    known = [column.name for column in manifest.columns if column.table in tables]
    if query.columns is None:
        return known
    asked = list(dict.fromkeys(query.columns))
    always = {INDEX, TIME, *([OHLCV_INDEX] if query.table is Table.JOINED else [])}
    refuse_unknown(manifest, query.table, set(asked) - always - set(known))
    return [name for name in asked if name not in always]


def refuse_unknown(manifest: Manifest, table: Table, unknown: Collection[str]) -> None:
    if unknown:
        shown = ", ".join(sorted(unknown)[:10])
        message = f"has {shown}, which {manifest.dataset_slug} does not have in {table}"
        raise InvalidRequest([Violation("columns", message)], reason="UNKNOWN_COLUMN")
