"""Where rows of time series lie: named tables that know nothing of datasets or runs.

A row counts as published only when Postgres says so; until then its table is
somebody's attempt. tests/contract/series_store.py says in full what a store does.
"""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, AsyncIterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol, TypeAlias

import pyarrow as pa

from services.shared.arrow_stream import Piece
from services.shared.errors import Conflict, InvalidRequest, NotFound, Violation

TIME: Final = "timestamp_ms"
INDEX: Final = "index"


@dataclass(frozen=True)
class Rows:
    """[start, end) of `index`."""

    start: int
    end: int


@dataclass(frozen=True)
class Times:
    """[start_ms, end_ms) of `timestamp_ms`."""

    start_ms: int
    end_ms: int


Span: TypeAlias = Rows | Times


@dataclass(frozen=True)
class Bounds:
    """Rows of a table, and the times of its first and last."""

    rows: int
    first_ms: int
    last_ms: int


class NoSuchTable(NotFound):
    reason = "NO_SUCH_TABLE"


class TableDiffers(Conflict):
    """The table is there with other columns, another key or other rows."""

    reason = "TABLE_DIFFERS"


class SeriesStore(Protocol):
    """Tables have a key: `timestamp_ms` alone, or it and further int64 columns.

    Rows are read in the order of their key, and a key has one row. A table keyed
    by time alone grows at its end and gives each row its ordinal as the column
    `index`; rows it has already may be written again, but not with other values.
    In a table with a longer key writers may come in any order, rows have no
    `index`, and of rows written with the same key the last one counts.

    Columns are int64, float64, bool or string. Every method that names a table
    raises NoSuchTable when it is not there, except `create` and `drop`.
    """

    async def create(self, table: str, schema: pa.Schema, *, key: Sequence[str] = (TIME,)) -> None:
        """Repeatable. Raises TableDiffers when it is there with other columns or another key."""

    async def write(self, table: str, batches: AsyncIterable[pa.RecordBatch]) -> None:
        """Any number of writers. What an interrupted write leaves are whole rows or none.

        Where `index` is given, rows that would change others or go in between are a
        mistake; a store that notices raises TableDiffers.
        """

    async def settle(self, table: str) -> None:
        """Returns when everything written can be read."""

    async def schema(self, table: str, columns: Sequence[str] | None = None) -> pa.Schema:
        """Of what `read` gives for these columns."""

    def read(
        self,
        table: str,
        columns: Sequence[str] | None = None,
        *,
        span: Span | None = None,
        below_ms: int | None = None,
        where: Mapping[str, int] | None = None,
    ) -> AsyncGenerator[pa.RecordBatch]:
        """Rows in order, in batches of about 1 MiB.

        `columns` in the order wanted; None for `index` (where there is one) and all
        columns. Rows at or after `below_ms` do not exist for this reader. `where`
        compares columns of the key besides the time. A span of Rows needs an
        `index`; what of a span lies outside the table is empty.
        """

    def read_pieces(
        self,
        table: str,
        columns: Sequence[str] | None = None,
        *,
        span: Span | None = None,
        below_ms: int | None = None,
        where: Mapping[str, int] | None = None,
    ) -> AsyncGenerator[Piece]:
        """The same rows for `arrow_stream.encode`: as stored messages where that is possible."""

    async def merge(self, staged: str, into: str) -> None:
        """Writes the rows of one table into another. Repeatable."""

    async def bounds(self, table: str) -> Bounds | None:
        """What lies in the store now, without reading its rows; None for no rows.

        Later reads read that too, and nothing that was mapped before.
        With a longer key, rows that were written again may count twice.
        """

    async def drop(self, table: str) -> None:
        """Repeatable. Readers under way may end with NoSuchTable."""

    async def tables(self) -> list[str]: ...


def check_table_name(table: str) -> None:
    if not re.fullmatch("[a-z0-9_]{1,200}", table):
        raise InvalidRequest([Violation("table", f"is {table!r}, which is not [a-z0-9_]{{1,200}}")])
