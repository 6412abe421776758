"""What must hold of rows that come out of a store, whatever the store says of itself.

Checks take rows batch by batch, in the order of the table, and hold no more than a block.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from services.dataset.domain.columns import Column, ColumnType
from services.dataset.domain.findings import NAMED, Finding, Places, told_time
from services.shared.canonical import BLOCK_ROWS, TableHash, TableHasher
from services.shared.canonical import ColumnType as Kind

TIME: Final = "timestamp_ms"
_KINDS: Final = {ColumnType.FLOAT64: Kind.NUMBER, ColumnType.STRING: Kind.TEXT}


@dataclass(frozen=True, kw_only=True)
class Expected:
    """What is recorded of one table of a version."""

    table: str
    rows: int
    first_ms: int
    last_ms: int
    columns: tuple[Column, ...]
    block_hashes: tuple[bytes, ...]

    @property
    def names(self) -> list[str]:
        return [TIME, *(column.name for column in self.columns)]

    @property
    def hashed(self) -> list[tuple[str, Kind]]:
        values = [(column.name, _KINDS[column.type]) for column in self.columns]
        return [(TIME, Kind.TIME), *values]


class TableCheck:
    """Counts, bounds, order, nulls and hashes of one table."""

    def __init__(self, expected: Expected) -> None:
        self._expected = expected
        self._hasher = TableHasher(expected.hashed)
        self._nulls = [0] * len(expected.columns)
        self._rows = 0
        self._first_ms: int | None = None
        self._last_ms: int | None = None
        self._disorder = Places()

    def update(self, batch: pa.RecordBatch) -> None:
        """Of at least one row, with the columns expected."""
        times = batch.column(TIME).to_numpy()
        before = times[0] - 1 if self._last_ms is None else self._last_ms
        self._disorder.add(times[np.diff(times, prepend=before) <= 0])
        self._first_ms = int(times[0]) if self._first_ms is None else self._first_ms
        self._last_ms = int(times[-1])
        self._rows += len(times)
        for i, column in enumerate(self._expected.columns):
            self._nulls[i] += missing_values(batch.column(column.name))
        self._hasher.update(batch)

    def finish(self) -> tuple[TableHash, list[Finding]]:
        found = self._hasher.finish()
        return found, [*self._counted(), *self._columns(), *self._blocks(found)]

    def _counted(self) -> Iterator[Finding]:
        expected = self._expected
        if self._rows != expected.rows:
            message = f"{self._rows} rows are there, and {expected.rows} were published."
            yield Finding(reason="ROW_COUNT", message=message, subject=expected.table)
        bounds = (self._first_ms, self._last_ms)
        if self._rows and bounds != (expected.first_ms, expected.last_ms):
            found, published = _stretch(*bounds), _stretch(expected.first_ms, expected.last_ms)
            message = f"The rows go {found}, and those published {published}."
            yield Finding(reason="BOUNDS", message=message, subject=expected.table)
        if self._disorder:
            message = f"{self._disorder.told('rows')} are not after the row before."
            yield Finding(reason="ORDER", message=message, subject=expected.table)

    def _columns(self) -> Iterator[Finding]:
        for column, nulls in zip(self._expected.columns, self._nulls, strict=True):
            if nulls != column.null_count:
                message = (
                    f"Column {column.name!r} of {self._expected.table} has {nulls} missing values, "
                    f"and {column.null_count} were published."
                )
                yield Finding(reason="NULL_COUNT", message=message, subject=column.name)

    def _blocks(self, found: TableHash) -> Iterator[Finding]:
        """Where rows differ; of a table with another number of rows only the first place."""
        recorded = self._expected.block_hashes
        pairs = zip(found.block_hashes, recorded, strict=False)
        differing = [i for i, (now, then) in enumerate(pairs) if now != then]
        if not differing and len(found.block_hashes) == len(recorded):
            return
        first = differing[0] if differing else min(len(recorded), len(found.block_hashes))
        start = first * BLOCK_ROWS
        message = (
            f"{max(len(differing), 1)} blocks of {BLOCK_ROWS} rows are not what was published, "
            f"the first being the rows from {start} on."
        )
        yield Finding(reason="BLOCK_HASH", message=message, subject=self._expected.table)


def missing_values(column: pa.Array) -> int:
    """Null and NaN are the same."""
    if not pa.types.is_floating(column.type):
        return int(column.null_count)
    return int(column.null_count) + int(pc.sum(pc.is_nan(column)).as_py() or 0)


def columns_differ(expected: Expected, schema: pa.Schema) -> Sequence[Finding]:
    """Of what a store has under these names."""
    wanted = {TIME: pa.int64()}
    types = {ColumnType.FLOAT64: pa.float64(), ColumnType.STRING: pa.string()}
    wanted |= {column.name: types[column.type] for column in expected.columns}
    wrong = [name for name in wanted if schema.field(name).type != wanted[name]]
    if not wrong:
        return []
    told = ", ".join(f"{name!r} as {schema.field(name).type}" for name in wrong[:NAMED])
    message = f"{len(wrong)} columns have another type than was published: {told}."
    return [Finding(reason="COLUMNS", message=message, subject=expected.table)]


def _stretch(first_ms: int | None, last_ms: int | None) -> str:
    assert first_ms is not None
    assert last_ms is not None
    return f"from {told_time(first_ms)} to {told_time(last_ms)}"
