"""MetaTrader 5 counts ticks, and beside them the volume, which is 0 where no exchange tells one."""

from __future__ import annotations

from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from services.dataset.formats.columns import Columns, plain
from services.dataset.formats.options import Options

_TICKS: Final = frozenset({"tickvol", "tick_volume"})


def counted_ticks(columns: Columns, values: pa.Table, options: Options) -> str | None:
    """The column of ticks, where another was taken for the volume and holds nothing but 0."""
    names = dict(columns.values)
    taken = names.get("volume")
    if taken is None or "volume" in options.columns or taken.lower() == "volume":
        return None
    ticks = {name: ours for ours, name in columns.values if plain(name) in _TICKS and name != taken}
    if not ticks or not _is_zero(values["volume"]):
        return None
    return next((name for name, ours in ticks.items() if _counts(values[ours])), None)


def _is_zero(column: pa.ChunkedArray) -> bool:
    found = pc.min_max(column).as_py()
    return bool(found["min"] == 0 and found["max"] == 0)


def _counts(column: pa.ChunkedArray) -> bool:
    return pa.types.is_floating(column.type) and not _is_zero(column)
