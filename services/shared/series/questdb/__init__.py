"""The series store on a QuestDB server.

A table of ours is a table there, partitioned by month, whose rows are unique by
their key. What its columns are called for people is kept in `stage1.tables`,
written before the table is made: so a table never lacks its columns' names, and
a row there without a table means nothing. Tables that others made can be read too.
"""

from __future__ import annotations

import asyncio
import re
from collections import defaultdict
from collections.abc import (
    AsyncGenerator,
    AsyncIterable,
    AsyncIterator,
    Mapping,
    Sequence,
)
from contextlib import aclosing, asynccontextmanager
from typing import Any, Final

import pyarrow as pa

from services.shared.arrow_stream import Piece
from services.shared.errors import Conflict, InvalidRequest, Violation
from services.shared.series import TIME, Bounds, NoSuchTable, Span, TableDiffers, check_table_name
from services.shared.series.columns import check_columns, check_selection, selected
from services.shared.series.questdb.catalogue import find, make, settle
from services.shared.series.questdb.layout import (
    Layout,
    check_storable_name,
    listed,
    new_layout,
)
from services.shared.series.questdb.memory import Claim, ReadMemory
from services.shared.series.questdb.reading import Reader
from services.shared.series.questdb.sending import Sending
from services.shared.series.questdb.wire import LONG_SECONDS, Address, Wire

_KNOWN_TIMES: Final = 10_000


@asynccontextmanager
async def questdb_store(url: str, user: str = "", password: str = "") -> AsyncIterator[Questdb]:
    """Opens nothing yet: a server that is away is told by the first call."""
    address = Address(url=url.rstrip("/"), user=user, password=password)
    wire = Wire(address)
    try:
        yield Questdb(wire)
    finally:
        wire.close()


class Questdb:
    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self._layouts: dict[str, Layout] = {}
        self._times: dict[str, dict[int, int]] = defaultdict(dict)
        self._naming = asyncio.Lock()
        self._memory = ReadMemory()

    async def create(self, table: str, schema: pa.Schema, *, key: Sequence[str] = (TIME,)) -> None:
        check_table_name(table)
        check_storable_name(table)
        check_columns(schema, key)
        wanted = new_layout(table, schema, key)
        async with self._naming:
            self._forget(table)  # another process may have dropped it
            there = await self._load(table)
            if there is None:
                self._layouts[table] = await make(self._wire, wanted)
            elif there != wanted:
                raise TableDiffers(f"Table {table} is there with other columns or another key.")

    async def write(self, table: str, batches: AsyncIterable[pa.RecordBatch]) -> None:
        layout = await self._layout(table)
        self._times.pop(table, None)
        try:
            await Sending(self._wire, layout).send(batches)
        except NoSuchTable:
            self._forget(table)
            raise

    async def settle(self, table: str) -> None:
        await self._layout(table)
        await self._settled(table)

    async def _settled(self, table: str) -> None:
        self._times.pop(table, None)
        try:
            await settle(self._wire, table)
        except NoSuchTable:
            self._forget(table)
            raise

    async def schema(self, table: str, columns: Sequence[str] | None = None) -> pa.Schema:
        return selected((await self._layout(table)).readable, columns)

    async def read(
        self,
        table: str,
        columns: Sequence[str] | None = None,
        *,
        span: Span | None = None,
        below_ms: int | None = None,
        where: Mapping[str, int] | None = None,
    ) -> AsyncGenerator[pa.RecordBatch]:
        layout = await self._layout(table)
        wanted = selected(layout.readable, columns)
        check_selection(table, layout.key, span, where or {})
        claim = Claim(self._memory)
        reader = Reader(self._wire, layout, wanted, self._known_times(layout), claim)
        try:
            async with aclosing(reader.batches(span, below_ms, where or {})) as batches:
                async for batch in batches:
                    yield batch
        except NoSuchTable:
            self._forget(table)
            raise
        finally:
            claim.end()

    def read_pieces(
        self,
        table: str,
        columns: Sequence[str] | None = None,
        *,
        span: Span | None = None,
        below_ms: int | None = None,
        where: Mapping[str, int] | None = None,
    ) -> AsyncGenerator[Piece]:
        return self.read(table, columns, span=span, below_ms=below_ms, where=where)

    def _known_times(self, layout: Layout) -> dict[int, int]:
        if not (layout.is_ours and layout.has_index):
            return {}  # its rows may come to lie elsewhere
        times = self._times[layout.table]
        if len(times) > _KNOWN_TIMES:
            times.clear()
        return times

    async def merge(self, staged: str, into: str) -> None:
        """One transaction; the keys of the rows make a repeat harmless."""
        source, target = await self._layout(staged), await self._layout(into)
        if not target.has_unique_keys:
            raise Conflict(
                f'Table {into} of QuestDB keeps rows twice: ALTER TABLE "{into}" DEDUP ENABLE '
                f'UPSERT KEYS("{target.time}") lets rows be merged into it.'
            )
        missing = sorted(set(target.columns.names) - set(source.columns.names))
        if missing:
            raise InvalidRequest([Violation("staged", f"is {staged}, which lacks {missing}")])
        await self._settled(staged)
        query = _merging(source, target)
        try:
            await self._wire.rows(query, table=into, seconds=LONG_SECONDS)
        except NoSuchTable:
            self._forget(staged)
            self._forget(into)
            raise
        self._times.pop(into, None)

    async def bounds(self, table: str) -> Bounds | None:
        layout = await self._layout(table)
        time = f'"{layout.time}"'
        query = f'SELECT count(), min({time})::LONG, max({time})::LONG FROM "{table}"'
        rows, first_us, last_us = (await self._rows_of(table, query))[0]
        return Bounds(rows, first_us // 1000, last_us // 1000) if rows else None

    async def drop(self, table: str) -> None:
        check_table_name(table)
        async with self._naming:
            await self._wire.rows(f'DROP TABLE IF EXISTS "{table}"', table=table)
            self._forget(table)

    async def tables(self) -> list[str]:
        names = [row[0] for row in await self._wire.rows("SELECT table_name FROM tables()")]
        return sorted(name for name in names if re.fullmatch("[a-z0-9_]{1,200}", name))

    async def _rows_of(self, table: str, query: str) -> list[list[Any]]:
        try:
            return await self._wire.rows(query, table=table)
        except NoSuchTable:
            self._forget(table)
            raise

    def _forget(self, table: str) -> None:
        self._layouts.pop(table, None)
        self._times.pop(table, None)

    async def _layout(self, table: str) -> Layout:
        check_table_name(table)
        async with self._naming:
            layout = await self._load(table)
        if layout is None:
            raise NoSuchTable(f"There is no table {table}.")
        return layout

    async def _load(self, table: str) -> Layout | None:
        if table in self._layouts:
            return self._layouts[table]
        found = await find(self._wire, table)
        if found is not None and found.is_ours:
            self._layouts[table] = found
        return found


def _merging(source: Layout, target: Layout) -> str:
    if source.names == target.names and source.columns.names == target.columns.names:
        return f'INSERT ATOMIC INTO "{target.table}" SELECT * FROM "{source.table}"'
    taken = listed(source.name_of(column) for column in target.columns.names)
    return (
        f'INSERT ATOMIC INTO "{target.table}" ({listed(target.names)}) '
        f'SELECT {taken} FROM "{source.table}"'
    )
