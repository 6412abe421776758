"""The files of an append beside the rows that are there: what comes again, and what is new."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa

from services.dataset.app.hashing import columns_of
from services.dataset.app.order import Part
from services.dataset.app.preparing import read_all, told
from services.dataset.domain.catalogue import Counts, Report
from services.dataset.domain.columns import Table
from services.dataset.domain.growth import Growth, NewRows, grow, refuse_other_columns
from services.dataset.domain.manifest import Manifest, measurement, watermark
from services.dataset.domain.overlap import refuse_difference
from services.dataset.domain.sessions import SessionSource
from services.dataset.domain.timeline import GapPolicy
from services.dataset.domain.times import Times
from services.dataset.formats import Parsed
from services.shared.canonical import BLOCK_ROWS
from services.shared.series import TIME, Rows, SeriesStore
from services.shared.series import Times as TimeSpan
from services.shared.threads import in_thread

_COMPARED_VALUES: Final = 1_000_000


@dataclass(frozen=True, kw_only=True)
class Tail:
    """A file under the columns of the dataset: its first `known` rows are there already."""

    file: Parsed
    rows: pa.Table
    known: int

    @property
    def new(self) -> pa.Table:
        return self.rows.slice(self.known)


Tails = Mapping[Table, Tail]


async def read_tails(
    series: SeriesStore, base: Manifest, parts: Sequence[Part], paths: Sequence[Path]
) -> Tails:
    """The files, under the dataset's columns in their order. Raises InvalidRequest."""
    parts = [part.as_known(base) for part in parts]
    files = await in_thread(read_all, parts, paths)
    tails = {}
    for table, file in files.items():
        refuse_other_columns(base, table, file.table)
        names = [name for name, _ in columns_of(base, table)]
        schema = await series.schema(measurement(base, table), names)
        rows = file.table.select(names).cast(schema)
        known = await in_thread(_rows_below, rows, watermark(base, table))
        tails[table] = Tail(file=file, rows=rows, known=known)
    return tails


async def compare(series: SeriesStore, base: Manifest, table: Table, tail: Tail) -> None:
    """Raises RowsDiffer or InvalidRequest for rows that are not as they were. Piece by piece."""
    step = max(1, min(BLOCK_ROWS, _COMPARED_VALUES // tail.rows.num_columns))
    for start in range(0, tail.known, step):
        part = tail.rows.slice(start, min(step, tail.known - start))
        given = await in_thread(_one_batch, part)
        times = given.column(TIME)
        span = TimeSpan(times[0].as_py(), times[-1].as_py() + 1)
        stored = series.read(
            measurement(base, table),
            tail.rows.column_names,
            span=span,
            below_ms=watermark(base, table),
        )
        async with aclosing(stored) as batches:
            found = [batch async for batch in batches]
        there = pa.concat_batches(found) if found else given.slice(0, 0)
        await in_thread(refuse_difference, base, table, given, there)


async def grown_by(
    series: SeriesStore,
    base: Manifest,
    tails: Tails,
    gap_policy: GapPolicy | None,
    sessions: SessionSource,
) -> Growth:
    rows = NewRows(
        bars=_new_times(tails, Table.OHLCV),
        indicators=(indicators := _new_times(tails, Table.INDICATORS)),
        waiting=await _waiting(series, base, len(indicators)),
        nulls={
            name: tail.new[name].null_count
            for tail in tails.values()
            for name in tail.rows.column_names[1:]
        },
    )
    return await in_thread(grow, base, rows, gap_policy, sessions)


async def _waiting(series: SeriesStore, base: Manifest, rows: int) -> Times:
    """Times of the bars after the last indicator row, of so many at most."""
    first = base.lookback_rows + base.indicator_rows
    span = Rows(first, min(first + rows, base.ohlcv_rows))
    if span.start >= span.end:
        return np.empty(0, np.int64)
    below_ms = watermark(base, Table.OHLCV)
    read = series.read(base.ohlcv_measurement, [TIME], span=span, below_ms=below_ms)
    async with aclosing(read) as batches:
        return np.concatenate([batch.column(0).to_numpy() async for batch in batches])


def report_of(tails: Tails, growth: Growth) -> Report:
    known = {table: tail.known for table, tail in tails.items()}
    new = {table: tail.new.num_rows for table, tail in tails.items()}
    indicators = tails.get(Table.INDICATORS)
    return Report(
        notes=tuple(note for table, tail in tails.items() for note in told(table, tail.file)),
        warnings=growth.warnings,
        trimmed_head_rows=indicators.file.trimmed_head if indicators else 0,
        trimmed_tail_rows=indicators.file.trimmed_tail if indicators else 0,
        counts=Counts(
            ohlcv_rows=new.get(Table.OHLCV, 0),
            indicator_rows=new.get(Table.INDICATORS, 0),
            repeated_ohlcv_rows=known.get(Table.OHLCV, 0),
            repeated_indicator_rows=known.get(Table.INDICATORS, 0),
        ),
    )


def _rows_below(rows: pa.Table, watermark_ms: int) -> int:
    """Times increase, so they are counted chunk by chunk."""
    return sum(
        int(np.searchsorted(chunk.to_numpy(), watermark_ms, "left")) for chunk in rows[TIME].chunks
    )


def _one_batch(rows: pa.Table) -> pa.RecordBatch:
    return rows.combine_chunks().to_batches()[0]


def _new_times(tails: Tails, table: Table) -> Times:
    if table not in tails:
        return np.empty(0, np.int64)
    times: Times = tails[table].new[TIME].to_numpy()
    return times
