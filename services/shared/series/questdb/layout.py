"""How a table of ours lies in QuestDB: its columns' names there, types, and statements.

Names in QuestDB differ by more than case and have 127 bytes. A column keeps its
name, in small letters, where that is possible (so people can query it there), or
is called `_<its place>`; the names it has for people are kept in a table beside.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import pyarrow as pa

from services.shared.errors import InvalidRequest, Violation
from services.shared.series import TIME
from services.shared.series.columns import readable

DESIGNATED: Final = "timestamp"
CATALOGUE: Final = "stage1.tables"
"""Whose tables have which columns; no table of ours can have a dot in its name."""
LAST_MS: Final = 253_402_300_799_999
"""The end of the year 9999; times begin with 1970."""
_LONGEST_TABLE: Final = 120  # the name of a folder, with a number behind it
_LONGEST_LIST: Final = 12_000
"""Characters of all columns with names of their own; a statement has 32,000."""
_PLAIN: Final = re.compile("[A-Za-z][A-Za-z0-9_]{0,62}")
_PLACE: Final = re.compile("_[0-9]+")
# BOOLEAN has no null there. The server (9.3.4) exports VARCHAR wrongly: as nulls, where all
# values of a partition have at most 9 bytes.
_TYPES: Final = {
    pa.int64(): "LONG",
    pa.float64(): "DOUBLE",
    pa.bool_(): "INT",
    pa.string(): "STRING",
}
_FOREIGN: Final = {
    **dict.fromkeys(("LONG", "INT", "SHORT", "BYTE"), pa.int64()),
    **dict.fromkeys(("DOUBLE", "FLOAT"), pa.float64()),
    **dict.fromkeys(("VARCHAR", "STRING", "SYMBOL", "CHAR"), pa.string()),
    "BOOLEAN": pa.bool_(),
}


@dataclass(frozen=True, kw_only=True)
class Stored:
    """A column as the server describes it."""

    name: str
    type: str
    is_designated: bool
    is_key: bool


@dataclass(frozen=True, kw_only=True)
class Layout:
    table: str
    columns: pa.Schema
    key: tuple[str, ...]
    names: tuple[str, ...]
    """In QuestDB, in the order of `columns`."""
    has_unique_keys: bool = True
    """Rows written twice are one row; so it is in every table of ours."""
    varchars: frozenset[str] = frozenset()
    """Names of columns that cannot be exported as they are; none in tables of ours."""
    is_ours: bool = field(default=True, compare=False)
    """Others change theirs as they like."""

    @property
    def has_index(self) -> bool:
        return self.key == (TIME,)

    @property
    def readable(self) -> pa.Schema:
        return readable(self.columns, self.key)

    @property
    def time(self) -> str:
        return self.name_of(TIME)

    def name_of(self, column: str) -> str:
        place: int = self.columns.get_field_index(column)
        return self.names[place]

    def described(self) -> list[Stored]:
        """What the server says when it has this table."""
        return [
            Stored(
                name=name,
                type="TIMESTAMP" if field.name == TIME else _TYPES[field.type],
                is_designated=field.name == TIME,
                is_key=field.name in self.key,
            )
            for field, name in zip(self.columns, self.names, strict=True)
        ]

    def to_json(self) -> str:
        columns = [
            [field.name, str(field.type), field.nullable, name]
            for field, name in zip(self.columns, self.names, strict=True)
        ]
        return json.dumps({"key": self.key, "columns": columns}, ensure_ascii=False)

    def ddl(self) -> str:
        columns = ",".join(f"{quoted(column.name)} {column.type}" for column in self.described())
        key = listed(self.name_of(name) for name in self.key)
        return (
            f'CREATE TABLE IF NOT EXISTS "{self.table}" ({columns}) '
            f'TIMESTAMP("{DESIGNATED}") PARTITION BY MONTH WAL DEDUP UPSERT KEYS({key})'
        )


def new_layout(table: str, schema: pa.Schema, key: Sequence[str]) -> Layout:
    return Layout(
        table=table,
        columns=schema.remove_metadata(),
        key=tuple(key),
        names=_names(schema.names),
    )


def from_json(table: str, text: str) -> Layout:
    described: dict[str, Any] = json.loads(text)
    types = {str(kind): kind for kind in _TYPES}
    columns = described["columns"]
    return Layout(
        table=table,
        columns=pa.schema([pa.field(n, types[t], nullable=null) for n, t, null, _ in columns]),
        key=tuple(described["key"]),
        names=tuple(name for *_, name in columns),
    )


def foreign(table: str, stored: Sequence[Stored]) -> Layout:
    """Of a table that others made: its columns by their own names, its rows by time alone."""
    known = {True: ["TIMESTAMP"], False: _FOREIGN}
    unknown = [column for column in stored if column.type not in known[column.is_designated]]
    if unknown or not any(column.is_designated for column in stored):
        told = [f"column {c.name!r} of type {c.type}" for c in unknown] or "no time of its own"
        raise InvalidRequest([Violation("table", f"is {table!r}, which has {told}")])
    fields = [
        pa.field(TIME, pa.int64(), nullable=False)
        if column.is_designated
        else pa.field(column.name, _FOREIGN[column.type])
        for column in stored
    ]
    return Layout(
        table=table,
        columns=pa.schema(fields),
        key=(TIME,),
        names=tuple(column.name for column in stored),
        has_unique_keys=[c.is_designated for c in stored] == [c.is_key for c in stored],
        varchars=frozenset(c.name for c in stored if c.type == "VARCHAR"),
        is_ours=False,
    )


def check_storable_name(table: str) -> None:
    if len(table) > _LONGEST_TABLE:
        told = f"is {table!r}, longer than the {_LONGEST_TABLE} characters that QuestDB takes"
        raise InvalidRequest([Violation("table", told)])


def listed(names: Iterable[str]) -> str:
    return ",".join(map(quoted, names))


def quoted(name: str) -> str:
    """Shorter where that is possible: tables are wide, and queries are not."""
    return name if _PLACE.fullmatch(name) else f'"{name}"'


def _names(columns: Sequence[str]) -> tuple[str, ...]:
    plain = sum(len(name) + 16 for name in columns) <= _LONGEST_LIST
    taken = {DESIGNATED}
    names = []
    for place, column in enumerate(columns):
        name = column.lower()
        if not plain or name in taken or not _PLAIN.fullmatch(column):
            name = f"_{place}"
        taken.add(name)
        names.append(DESIGNATED if column == TIME else name)
    return tuple(names)
