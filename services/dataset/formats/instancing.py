"""The second look at the time columns: every block to instants, and whether they go forward."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Final

import polars as pl
import pyarrow as pa

from services.dataset.formats.aside import Aside
from services.dataset.formats.blocks import LINE, STAMP, TIME
from services.dataset.formats.ordered import in_order
from services.dataset.formats.refusal import Int64s, Ledger, Places, RowsRefused, broken_rows
from services.dataset.formats.rules import TimeOrder
from services.dataset.formats.timestamps import Clock

_ROWS: Final = 65_536


def put_instants(clock: Clock, name: str, stamps: pa.Table, noun: str, times: Aside) -> Ledger:
    """Writes `timestamp_ms` batch by batch; gives the rows that are out of order.

    Raises FileRefused for times that cannot be read, and for a file that goes backward.
    """
    unread, order, disordered = Ledger(), TimeOrder(), Ledger()
    for ms, places in in_order(partial(_instants, clock, name, noun), _batches(stamps)):
        if isinstance(ms, RowsRefused):
            unread.note(ms.broken)
            continue
        disordered.note(broken_rows(places, order.broken(ms)))
        times.write(pa.table({"timestamp_ms": ms}))
    unread.close()
    order.close()
    return disordered


def _batches(stamps: pa.Table) -> Iterator[pa.RecordBatch]:
    """Longer ones than the first that were put aside, since each costs some calls."""
    for start in range(0, stamps.num_rows, _ROWS):
        yield from stamps.slice(start, _ROWS).combine_chunks().to_batches()


def _instants(
    clock: Clock, name: str, noun: str, batch: pa.RecordBatch
) -> tuple[Int64s | RowsRefused, Places]:
    frame = pl.DataFrame(batch)
    places = Places(noun, frame[LINE].to_numpy())
    time = frame[TIME] if TIME in frame.columns else None
    try:
        return clock.instants(frame[STAMP].alias(name), time, places), places
    except RowsRefused as error:
        return error, places
