"""Rows on their way into QuestDB: ILP over HTTP, by several senders in threads.

Each flush is a transaction of its own; the keys of our tables make it harmless
to send rows again.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterable, AsyncIterator, Iterator, Sequence
from contextlib import closing, contextmanager
from typing import Any, Final

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from questdb import Protocol, QuestDBError, QuestDBErrorCode, Sender, TimestampNanos, _client

from services.shared import malloc
from services.shared.errors import InvalidRequest, Stage1Error, Unavailable, Violation
from services.shared.series import TIME, TableDiffers
from services.shared.series.columns import check_rows
from services.shared.series.questdb.layout import CATALOGUE, LAST_MS, Layout
from services.shared.series.questdb.refusals import refusal
from services.shared.series.questdb.wire import Address, Wire
from services.shared.threads import ended, in_thread

# Many writes within seconds are no mistake to be warned of.
_client.WARN_HIGH_RECONNECTS = False

SENDERS: Final = 4
FLUSH_BYTES: Final = 8 << 20
_NULL: Final = -(2**63)
_REQUEST_MS: Final = 30_000
_RETRY_MS: Final = 5_000
_BUFFER_BYTES: Final = 256 << 20


class Senders:
    """Of one write, each with a connection of its own, lent to one thread at a time.

    They are not kept for the next: a connection that has written to a table which was
    dropped meanwhile has rows for a new one of that name acknowledged, and lost.
    """

    def __init__(self, address: Address) -> None:
        self._address = address
        self._idle: deque[Sender] = deque()

    @contextmanager
    def lent(self, table: str) -> Iterator[Sender]:
        """What fails in the block is told as an error of ours, about this table. Blocks."""
        try:
            sender = self._idle.pop()
        except IndexError:
            sender = self._new()
        try:
            yield sender
        except BaseException as error:
            sender.close(flush=False)
            if isinstance(error, QuestDBError):
                raise told(error, table) from error
            raise
        self._idle.append(sender)

    def _new(self) -> Sender:
        parts = self._address.parts
        sender = Sender(
            Protocol.Https if parts.scheme == "https" else Protocol.Http,
            str(parts.hostname),
            self._address.port,
            username=self._address.user or None,
            password=self._address.password or None,
            auto_flush=False,
            protocol_version=2,
            request_timeout=_REQUEST_MS,
            retry_timeout=_RETRY_MS,
            max_buf_size=_BUFFER_BYTES,
        )
        sender.establish()  # type: ignore[no-untyped-call]
        return sender

    def close(self) -> None:
        for sender in self._idle:
            sender.close(flush=False)


class Sending:
    """One write. Groups go out side by side; with a longer key one by one, as the last counts."""

    def __init__(self, wire: Wire, layout: Layout) -> None:
        self._wire = wire
        self._senders = Senders(wire.address)
        self._layout = layout
        self._most = SENDERS if layout.has_index else 1
        self._groups = 0

    async def send(self, batches: AsyncIterable[pa.RecordBatch]) -> None:
        under_way: set[asyncio.Task[None]] = set()
        try:
            async for group in _grouped(batches, self._layout):
                if len(under_way) == self._most:
                    done, under_way = await asyncio.wait(
                        under_way, return_when=asyncio.FIRST_COMPLETED
                    )
                    _raise_first(done)
                under_way.add(asyncio.create_task(self._send(group)))
                self._groups += 1
            if under_way:
                done, under_way = await asyncio.wait(under_way)
                _raise_first(done)
        finally:
            for task in under_way:
                task.cancel()
            await asyncio.gather(*under_way, return_exceptions=True)
            self._senders.close()
            if self._groups > self._most:
                await in_thread(malloc.give_back)  # the senders' buffers

    async def _send(self, group: Sequence[pa.RecordBatch]) -> None:
        # Who cancels a write may drop its table next: so nothing is on its way by then.
        await ended(asyncio.ensure_future(self._wire.in_thread(lambda: self._flush(group))))

    def _flush(self, group: Sequence[pa.RecordBatch]) -> None:
        table = self._layout.table
        with self._senders.lent(table) as sender:
            for batch in group:
                frame = _frame(batch, self._layout)
                sender.dataframe(frame, table_name=table, at=self._layout.time)
            sender.flush()


def send_layout(address: Address, layout: Layout, now_ns: int) -> None:
    """Into the catalogue. Blocks."""
    with closing(Senders(address)) as senders, senders.lent(CATALOGUE) as sender:
        sender.row(
            CATALOGUE,
            symbols={"name": layout.table},
            columns={"layout": layout.to_json()},
            at=TimestampNanos(now_ns),
        )
        sender.flush()


def told(error: QuestDBError, table: str) -> Stage1Error:
    _, brace, rest = str(error).partition("{")
    if error.code == QuestDBErrorCode.ServerFlushError and brace:
        return refusal(f"{brace}{rest}", table=table)
    if error.code == QuestDBErrorCode.BadDataFrame:
        return InvalidRequest([Violation("rows", f"cannot be sent to QuestDB: {error}")])
    return Unavailable(
        "QuestDB does not take rows; the same call may work later.", cause=str(error)
    )


def _raise_first(done: set[asyncio.Task[None]]) -> None:
    errors = [error for task in done if (error := task.exception()) is not None]
    if errors:
        raise errors[0]


async def _grouped(
    batches: AsyncIterable[pa.RecordBatch], layout: Layout
) -> AsyncIterator[list[pa.RecordBatch]]:
    """About FLUSH_BYTES as they are sent: every row names every column."""
    named = sum(len(name) + 12 for name in layout.names)
    group: list[pa.RecordBatch] = []
    size = 0
    last_ms: int | None = None
    async for batch in batches:
        if not batch.num_rows:
            continue
        last_ms = _checked(batch, layout, last_ms)
        row = named + batch.nbytes // batch.num_rows
        step = max(1, FLUSH_BYTES // row)
        for start in range(0, batch.num_rows, step):
            group.append(batch.slice(start, step))
            size += group[-1].num_rows * row
            if size >= FLUSH_BYTES:
                yield group
                group, size = [], 0
    if group:
        yield group


def _checked(batch: pa.RecordBatch, layout: Layout, last_ms: int | None) -> int:
    """Its last time."""
    check_rows(layout.table, layout.columns, layout.key, batch)
    times = batch.column(TIME).to_numpy()
    first, last = int(times.min()), int(times.max())
    if first < 0 or last > LAST_MS:
        wrong = first if first < 0 else last
        told = f"is {wrong} ms, and QuestDB keeps times from 1970-01-01 to the year 9999 only"
        raise InvalidRequest([Violation(TIME, told)], reason="TIME_NOT_STORABLE")
    for field in batch.schema:
        if field.type == pa.int64() and pc.min(batch.column(field.name)).as_py() == _NULL:
            told = f"holds {_NULL}, which QuestDB takes for null"
            raise InvalidRequest([Violation(field.name, told)], reason="VALUE_NOT_STORABLE")
    follows = last_ms is None or first > last_ms
    if layout.has_index and not (follows and bool(np.all(np.diff(times) > 0))):
        raise TableDiffers(f"Rows for table {layout.table} are not in order of time.")
    return last


def _frame(batch: pa.RecordBatch, layout: Layout) -> pd.DataFrame:
    """Without copying where there are no nulls."""
    columns = {
        name: _times(column) if field.name == TIME else _values(column)
        for field, name, column in zip(batch.schema, layout.names, batch.columns, strict=True)
    }
    return pd.DataFrame(columns, copy=False)


def _times(column: pa.Array) -> Any:
    return (column.to_numpy() * 1000).view("M8[us]")


def _values(column: pa.Array) -> Any:
    if pa.types.is_floating(column.type):
        return column.to_numpy(zero_copy_only=False)  # null is NaN there
    if pa.types.is_boolean(column.type):
        column = column.cast(pa.int64())
    if pa.types.is_integer(column.type):
        return column.fill_null(_NULL).to_numpy()  # a row needs some value to be sent
    return pd.arrays.ArrowExtensionArray(pa.chunked_array([column]))
