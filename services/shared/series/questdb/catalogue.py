"""Which tables a server has, what their columns are called, and how far they can be read."""

from __future__ import annotations

import asyncio
import time
from typing import Final

from services.shared.errors import Unavailable
from services.shared.series import NoSuchTable
from services.shared.series.questdb.layout import CATALOGUE, Layout, Stored, foreign, from_json
from services.shared.series.questdb.refusals import suspended
from services.shared.series.questdb.sending import send_layout
from services.shared.series.questdb.wire import Wire

STILL_SECONDS: Final = 60.0
"""A table that has not taken a transaction for so long is given up."""
_POLL_SECONDS: Final = (0.002, 0.1)


async def make(wire: Wire, layout: Layout) -> Layout:
    """Its columns' names first: a crash in between leaves names of nothing."""
    await wire.rows(
        f'CREATE TABLE IF NOT EXISTS "{CATALOGUE}" (timestamp TIMESTAMP, name SYMBOL INDEX, '
        "layout VARCHAR) TIMESTAMP(timestamp) PARTITION BY YEAR WAL"
    )
    await wire.in_thread(lambda: send_layout(wire.address, layout, time.time_ns()))
    await settle(wire, CATALOGUE)
    await wire.rows(layout.ddl())
    return layout


async def find(wire: Wire, table: str) -> Layout | None:
    stored = await _stored(wire, table)
    if not stored:
        return None
    ours = await _catalogued(wire, table)
    return ours if ours and ours.described() == stored else foreign(table, stored)


async def _stored(wire: Wire, table: str) -> list[Stored]:
    query = f"SELECT \"column\", type, designated, upsertKey FROM table_columns('{table}')"
    try:
        rows = await wire.rows(query, table=table)
    except NoSuchTable:
        return []
    return [Stored(name=n, type=t, is_designated=d, is_key=k) for n, t, d, k in rows]


async def _catalogued(wire: Wire, table: str) -> Layout | None:
    query = f"SELECT layout FROM \"{CATALOGUE}\" WHERE name = '{table}' LIMIT -1"
    try:
        rows = await wire.rows(query, table=CATALOGUE)
    except NoSuchTable:
        return None
    return from_json(table, rows[0][0]) if rows else None


async def settle(wire: Wire, table: str) -> None:
    """Until all that was written by now can be read."""
    wanted, applied = await _transactions(wire, table)
    pause, longest = _POLL_SECONDS
    moved = time.monotonic()
    while applied < wanted:
        await asyncio.sleep(pause)
        pause = min(pause * 1.5, longest)
        before = applied
        _, applied = await _transactions(wire, table)
        if applied > before:
            moved = time.monotonic()
        elif time.monotonic() - moved > STILL_SECONDS:
            raise Unavailable(
                f"Table {table} of QuestDB has applied {applied} of {wanted} transactions "
                f"and none for {STILL_SECONDS:.0f} s."
            )


async def _transactions(wire: Wire, table: str) -> tuple[int, int]:
    """(written, readable). Raises WalSuspended or DiskFull."""
    rows = await wire.rows(
        "SELECT sequencerTxn, writerTxn, suspended, errorTag, errorMessage "
        f"FROM wal_tables() WHERE name = '{table}'",
        table=table,
    )
    if not rows:
        if await _stored(wire, table):  # others made it without a WAL
            return 0, 0
        raise NoSuchTable(f"There is no table {table}.")
    sequencer, writer, is_suspended, tag, message = rows[0]
    if is_suspended:
        raise suspended(table, tag or "", message or "")
    return sequencer, writer
