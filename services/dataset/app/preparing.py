"""From uploaded files to what would be published: read, judged, described and hashed.

Nothing here waits for anything; it runs in a thread, since big files take seconds.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Final
from uuid import uuid4

import numpy as np
import pyarrow as pa

from services.dataset.app.hashing import table_hash
from services.dataset.app.order import ImportOrder, Part
from services.dataset.calendars import exchange_sessions
from services.dataset.domain.catalogue import Attempt, Dataset, Report
from services.dataset.domain.columns import Column, ColumnType, Role, Table, Target
from services.dataset.domain.manifest import Manifest
from services.dataset.domain.timeline import Timeline, read_timeline
from services.dataset.domain.times import Times, duration
from services.dataset.formats import Kind, Parsed, describe, read
from services.shared.canonical import TableHash, content_hash
from services.shared.errors import InvalidRequest, Violation
from services.shared.series import TIME

_TIMES_IN_MEMORY: Final = 1_000_000


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """Tables that keep every rule, and what is to be said of them."""

    tables: Mapping[Table, pa.Table]
    hashes: Mapping[Table, TableHash]
    timeline: Timeline
    columns: tuple[Column, ...]
    notes: tuple[str, ...]
    warnings: tuple[str, ...]
    trimmed_head_rows: int
    trimmed_tail_rows: int

    def block_hashes(self, table: Table) -> bytes:
        return b"".join(self.hashes[table].block_hashes) if table in self.hashes else b""

    @property
    def report(self) -> Report:
        return Report(
            notes=self.notes,
            warnings=self.warnings,
            trimmed_head_rows=self.trimmed_head_rows,
            trimmed_tail_rows=self.trimmed_tail_rows,
        )

    def manifest(
        self, order: ImportOrder, base: Dataset | None, attempt: Attempt, now_ms: int
    ) -> Manifest:
        """What the order leaves open is as the dataset has it, or as the bars say."""
        timeline = {field.name: getattr(self.timeline, field.name) for field in fields(Timeline)}
        interval = duration(self.timeline.bar_interval_ms)
        return Manifest(
            **timeline,
            version=attempt.version,
            dataset_id=base.dataset_id if base else uuid4(),
            dataset_slug=order.slug,
            symbol=order.symbol or (base.symbol if base else ""),
            granularity=order.granularity or (base.granularity if base else interval),
            source=order.source or (base.source if base else ""),
            ohlcv_measurement=attempt.ohlcv_measurement,
            indicator_measurement=attempt.indicator_measurement,
            columns=self.columns,
            content_hash=content_hash(*self.hashes.values()),
            exported_at_ms=now_ms,
        )


def prepare(order: ImportOrder, paths: Sequence[Path]) -> Prepared:
    """Raises InvalidRequest for files that break a rule, and TooLarge for those too large."""
    parsed = read_all(order.parts, paths)
    tables = {table: file.table for table, file in parsed.items()}
    _refuse_names(tables, order.targets)
    times = {table: times_of(rows, paths[0].parent) for table, rows in tables.items()}
    timeline, notes, warnings = read_timeline(
        times[Table.OHLCV], times.get(Table.INDICATORS), order.clock, exchange_sessions
    )
    _refuse_horizons(order.targets, timeline.indicator_rows)
    with ThreadPoolExecutor(1) as threads:
        hashing = threads.submit(_hashes, tables)
        described = [
            describe_file(table, file, order.targets, timeline.lookahead_rows)
            for table, file in parsed.items()
        ]
        hashes = hashing.result()
    indicators = parsed.get(Table.INDICATORS)
    return Prepared(
        tables=tables,
        hashes=hashes,
        timeline=timeline,
        columns=tuple(column for columns, _ in described for column in columns),
        notes=(*(note for table, file in parsed.items() for note in told(table, file)), *notes),
        warnings=(*warnings, *(text for _, texts in described for text in texts)),
        trimmed_head_rows=indicators.trimmed_head if indicators else 0,
        trimmed_tail_rows=indicators.trimmed_tail if indicators else 0,
    )


def _hashes(tables: Mapping[Table, pa.Table]) -> dict[Table, TableHash]:
    return {table: table_hash(rows) for table, rows in tables.items()}


def read_all(parts: Sequence[Part], paths: Sequence[Path]) -> dict[Table, Parsed]:
    """Bars first; what is wrong with either file is said in one answer."""
    parsed: dict[Table, Parsed] = {}
    wrong: list[Violation] = []
    reasons: list[str] = []
    files = {part.table: (part, path) for part, path in zip(parts, paths, strict=True)}
    for table in (table for table in Table if table in files):
        part, path = files[table]
        try:
            kind = Kind(table.value)
            parsed[table] = read(path, kind, part.options, aside=path.parent)
        except InvalidRequest as error:
            wrong.extend(_located(violation, part) for violation in error.violations)
            reasons.append(error.reason)
    if wrong:
        raise InvalidRequest(wrong, reason=reasons[0])
    return parsed


def _located(violation: Violation, part: Part) -> Violation:
    if not part.file_name or violation.field != part.table.value:
        return violation
    return replace(violation, message=f"({part.file_name}) {violation.message}")


def told(table: Table, file: Parsed) -> list[str]:
    rows = f"{file.table.num_rows} rows read as {file.format}."
    return [f"{table}: {note}" for note in (rows, *file.notes)]


def times_of(table: pa.Table, aside: Path | None = None) -> Times:
    """Of a large table in a mapped file, by default one of the system's."""
    if table.num_rows <= _TIMES_IN_MEMORY:
        short: Times = table[TIME].to_numpy()
        return short
    with tempfile.TemporaryFile(dir=aside) as file:
        times = np.memmap(file, np.int64, "w+", shape=(table.num_rows,))
    start = 0
    for chunk in table[TIME].chunks:
        times[start : start + len(chunk)] = chunk.to_numpy()
        start += len(chunk)
    return times.view(np.ndarray)


def describe_file(
    table: Table, file: Parsed, targets: Sequence[Target], lookahead_rows: int
) -> tuple[list[Column], list[str]]:
    named = [target.name for target in targets] if table is Table.INDICATORS else []
    described = describe(file.table, named or None)
    said = {target.name: target.horizon_bars for target in targets}
    horizons, warnings = dict(said), list(described.warnings)
    for name in (name for name, role in described.roles.items() if role is Role.TARGET):
        empty = _empty_tail(file.table[name])
        if said.get(name) is None and 0 < empty < file.table.num_rows:
            horizons[name] = empty + lookahead_rows
            warnings.append(
                f"{name} has no value in its last {empty} rows: it is taken to look"
                f" {horizons[name]} bars ahead, since no horizon is given."
            )
    columns = [
        Column(
            name=name,
            table=table,
            type=_type(file.table.schema.field(name)),
            role=role,
            null_count=file.null_counts.get(name, 0),
            horizon_bars=horizons.get(name) if role is Role.TARGET else None,
        )
        for name, role in described.roles.items()
    ]
    return columns, warnings


def _empty_tail(column: pa.ChunkedArray) -> int:
    empty = 0
    for chunk in reversed(column.chunks):
        known = np.flatnonzero(chunk.is_valid().to_numpy(zero_copy_only=False))
        if known.size:
            return empty + len(chunk) - 1 - int(known[-1])
        empty += len(chunk)
    return empty


def _refuse_horizons(targets: Sequence[Target], rows: int) -> None:
    wrong = [
        Violation(
            f"header.targets[{i}].horizon_bars",
            f"is {target.horizon_bars}, and there are only {rows} indicator rows",
        )
        for i, target in enumerate(targets)
        if target.horizon_bars is not None and target.horizon_bars >= rows
    ]
    if wrong:
        raise InvalidRequest(wrong[:20])


def _type(field: pa.Field) -> ColumnType:
    return ColumnType.STRING if pa.types.is_string(field.type) else ColumnType.FLOAT64


def _refuse_names(tables: Mapping[Table, pa.Table], targets: Sequence[Target]) -> None:
    """A name means one column in both tables, and a target is a column of numbers."""
    bars = {name.lower() for name in tables[Table.OHLCV].column_names[1:]}
    indicators = tables.get(Table.INDICATORS)
    schema = pa.schema([]) if indicators is None else indicators.schema
    wrong = [
        Violation("indicators", f"has a column {name!r}, which the bars have too: rename one")
        for name in schema.names[1:]
        if name.lower() in bars
    ]
    for i, target in enumerate(targets):
        at = schema.get_field_index(target.name)
        if at < 1 or not pa.types.is_float64(schema.field(at).type):
            message = f"is {target.name!r}, which is no column of numbers in the indicators"
            wrong.append(Violation(f"header.targets[{i}].name", message))
    if wrong:
        raise InvalidRequest(wrong[:20])
