"""Rows that come again: they must be there already, with the same values."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from services.dataset.domain.columns import Table
from services.dataset.domain.comparison import differing
from services.dataset.domain.manifest import Manifest
from services.dataset.domain.times import iso
from services.dataset.domain.verification import TIME
from services.shared.errors import Conflict, InvalidRequest, Violation


class RowsDiffer(Conflict):
    reason = "ROWS_DIFFER"


def refuse_difference(
    base: Manifest, table: Table, given: pa.RecordBatch, stored: pa.RecordBatch
) -> None:
    """`stored` are all rows there are from the first to the last time of `given`.

    Values are compared as in the canonical form: null and NaN are one, and so are 0 and -0.
    Raises InvalidRequest for a row that is not there, RowsDiffer for another value.
    """
    times, there = given.column(TIME).to_numpy(), stored.column(TIME).to_numpy()
    known = np.isin(times, there)
    if not known.all():
        raise InvalidRequest([Violation(table.value, _strange(base, table, times[~known]))])
    if len(there) > len(times):
        stored = stored.take(pa.array(np.searchsorted(there, times)))
    differs = {
        name: mask
        for name in given.schema.names
        if name != TIME and (mask := differing(given.column(name), stored.column(name))).any()
    }
    if differs:
        raise RowsDiffer(_told(base, differs, given, stored))


def _strange(base: Manifest, table: Table, times: NDArray[np.int64]) -> str:
    ohlcv = table is Table.OHLCV
    first = base.first_ohlcv_timestamp_ms if ohlcv else base.first_indicator_timestamp_ms
    last = base.last_ohlcv_timestamp_ms if ohlcv else base.last_indicator_timestamp_ms
    assert first is not None
    assert last is not None
    where = "before the first row" if times[0] < first else "between the rows"
    more = f", and {len(times) - 1} more such rows" if len(times) > 1 else ""
    return (
        f"has a row at {iso(times[0])}{more}, {where} of dataset {base.dataset_slug}: "
        f"only rows after {iso(last)} can be added"
    )


def _told(
    base: Manifest,
    differs: dict[str, NDArray[np.bool_]],
    given: pa.RecordBatch,
    stored: pa.RecordBatch,
) -> str:
    name, row = min(
        ((name, int(mask.argmax())) for name, mask in differs.items()), key=lambda found: found[1]
    )
    values = [_shown(batch.column(name)[row].as_py()) for batch in (given, stored)]
    at = iso(given.column(TIME)[row].as_py())
    return (
        f"{name} at {at} is {values[0]}, and dataset {base.dataset_slug} has {values[1]} there: "
        "what is published never changes. Publish a new version to correct it."
    )


def _shown(value: object) -> str:
    missing = value is None or (isinstance(value, float) and np.isnan(value))
    return "nothing" if missing else repr(value)
