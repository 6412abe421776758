"""What every store asks of tables, of what is written to them and of what is read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import pyarrow as pa

from services.shared.errors import InvalidRequest, Violation
from services.shared.series import INDEX, TIME, Rows, Span, Times

_TYPES: Final = (pa.int64(), pa.float64(), pa.bool_(), pa.string())


def check_columns(schema: pa.Schema, key: Sequence[str]) -> None:
    known = ", ".join(map(str, _TYPES))
    violations = [
        Violation("schema", f"has column {f.name!r} of type {f.type}, none of {known}")
        for f in schema
        if f.type not in _TYPES
    ]
    if len(set(schema.names)) < len(schema.names) or INDEX in schema.names:
        violations.append(Violation("schema", f"names a column twice or {INDEX!r}"))
    whole = {f.name for f in schema if f.type == pa.int64()}
    if list(key[:1]) != [TIME] or not set(key) <= whole or len(set(key)) < len(key):
        violations.append(Violation("key", f"is {key}, not {TIME!r} and other int64 columns"))
    if violations:
        raise InvalidRequest(violations)


def readable(columns: pa.Schema, key: Sequence[str]) -> pa.Schema:
    """With `index` in front where there is one."""
    index = pa.field(INDEX, pa.int64(), nullable=False)
    return columns.insert(0, index) if tuple(key) == (TIME,) else columns


def selected(stored: pa.Schema, columns: Sequence[str] | None) -> pa.Schema:
    """Of a reader who asks a readable schema for these columns."""
    if columns is None:
        return stored
    unknown = sorted(set(columns) - set(stored.names))
    if unknown or not columns:
        told = f"names {unknown}, which are not there" if unknown else "is empty"
        raise InvalidRequest([Violation("columns", told)])
    return pa.schema([stored.field(name) for name in columns])


def check_selection(
    table: str, key: Sequence[str], span: Span | None, where: Mapping[str, int]
) -> None:
    violations = []
    if isinstance(span, Rows) and tuple(key) != (TIME,):
        violations.append(Violation("span", f"is of rows, but {table} has no index"))
    if not set(where) <= set(key[1:]):
        violations.append(Violation("where", f"may compare {tuple(key[1:])} only"))
    if violations:
        raise InvalidRequest(violations)


def times_of(span: Span | None, below_ms: int | None) -> tuple[int | None, int | None]:
    """[start, end) in ms of what a reader may see; None where it is open."""
    if not isinstance(span, Times):
        return None, below_ms
    return span.start_ms, span.end_ms if below_ms is None else min(span.end_ms, below_ms)


def check_rows(table: str, columns: pa.Schema, key: Sequence[str], batch: pa.RecordBatch) -> None:
    if not batch.schema.equals(columns):
        raise ValueError(f"Table {table} has {columns}, not {batch.schema}.")
    required = {*key, *(f.name for f in columns if not f.nullable)}
    for name in required:
        if batch.column(name).null_count:
            raise ValueError(f"Column {name!r} of table {table} may have no nulls.")
