"""Which rows a query means, out of a table of so many. Pure."""

from __future__ import annotations

from typing import Final

from gateway.http.schemas.datasets import BarsQuery
from services.shared.errors import InvalidRequest, Violation

INDEX: Final = ("start_index", "end_index")
IDX: Final = ("start_idx", "end_idx")


def of_indices(start: int | None, end: int | None, count: int, *, names: tuple[str, str]) -> range:
    """What is left out is the table's own bound."""
    first, last = start or 0, count if end is None else end
    wrong = [
        Violation(name, f"is {value}, and the table has the rows [0, {count})")
        for name, value in zip(names, (first, last), strict=True)
        if value > count
    ]
    if not wrong and first > last:
        wrong = [Violation(names[0], f"is {first}, which is after {names[1]} {last}")]
    if wrong:
        raise InvalidRequest(wrong, reason="OUT_OF_RANGE")
    return range(first, last)


def has_times(query: BarsQuery) -> bool:
    """Whether the range is one of times. Raises InvalidRequest when it is of both kinds."""
    by_time = query.start_ts_ms is not None or query.end_ts_ms is not None
    by_index = query.start_index is not None or query.end_index is not None
    if by_time and by_index:
        message = "cannot be given together with a range of indices"
        raise InvalidRequest([Violation("start_ts_ms", message)])
    refuse_backward_times(query.start_ts_ms, query.end_ts_ms)
    return by_time


def refuse_backward_times(start_ms: int | None, end_ms: int | None) -> None:
    if start_ms is not None and end_ms is not None and start_ms > end_ms:
        message = f"is {start_ms}, which is after end_ts_ms {end_ms}"
        raise InvalidRequest([Violation("start_ts_ms", message)], reason="OUT_OF_RANGE")


def page(rows: range, offset: int, limit: int | None, *, backwards: bool = False) -> range:
    """A part of them, counted from the last row when backwards; beyond the end is nothing."""
    if backwards:
        stop = max(rows.stop - offset, rows.start)
        return range(rows.start if limit is None else max(stop - limit, rows.start), stop)
    start = min(rows.start + offset, rows.stop)
    return range(start, rows.stop if limit is None else min(start + limit, rows.stop))
