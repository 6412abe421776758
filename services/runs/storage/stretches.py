"""Which folds are read together, so that there are few reads of a table.

A read costs as much as the table has segments, and every fold is one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import pyarrow as pa

from services.runs.domain.folds import Fold

TANGLED_ROWS: Final = 1 << 18  # of predictions that are put in order in memory
_ROWS_A_BATCH: Final = 16_384  # about 1 MiB


@dataclass(frozen=True, kw_only=True)
class Stretch:
    """Stored folds whose rows one read gives, each fold with the attempt that counts.

    Of those that are tangled it gives the rows by time, and others between them.
    """

    start: int
    end: int
    attempts: Mapping[int, int]
    is_tangled: bool

    @property
    def where(self) -> Mapping[str, int]:
        """Leaves only the rows that count, of a stretch that is not tangled."""
        fold, attempt = next(iter(self.attempts.items()))
        return {"attempt": attempt} | ({"fold": fold} if len(self.attempts) == 1 else {})


def stretches(folds: Iterable[Fold], bar_interval_ms: int) -> Iterator[Stretch]:
    """Stored folds in order: neighbours of one attempt while their windows lie apart, and
    those whose windows overlap, a bounded number of rows at a time."""
    group: list[Fold] = []
    for fold in folds:
        if fold.result is None:
            continue
        if group and not _joins(group, fold):
            yield _stretch(group, bar_interval_ms)
            group = []
        group.append(fold)
    if group:
        yield _stretch(group, bar_interval_ms)


def _joins(group: Sequence[Fold], fold: Fold) -> bool:
    overlaps = _overlap(group[-1], fold)
    if len(group) > 1 and overlaps != _overlap(group[-2], group[-1]):
        return False
    if overlaps:  # windows are of one size
        return (len(group) + 1) * len(fold.planned.test.rows) <= TANGLED_ROWS
    return _are_neighbours(group[-1], fold)


def _overlap(before: Fold, fold: Fold) -> bool:
    return fold.planned.test.rows.start < before.planned.test.rows.end


def _are_neighbours(before: Fold, fold: Fold) -> bool:
    return fold.planned.number == before.planned.number + 1 and _attempt(fold) == _attempt(before)


def _attempt(fold: Fold) -> int:
    assert fold.result
    return fold.result.attempt


def _stretch(group: Sequence[Fold], bar_interval_ms: int) -> Stretch:
    first, last = group[0].planned, group[-1].planned
    return Stretch(
        start=first.test.times_ms.start,
        # To the last row, not one bar after it: the next may be nearer than that.
        end=last.test.times_ms.end - bar_interval_ms + 1,
        attempts={fold.planned.number: _attempt(fold) for fold in group},
        is_tangled=len(group) > 1 and _overlap(*group[:2]),
    )


def only_counted(batch: pa.RecordBatch, stretch: Stretch) -> pa.RecordBatch:
    """The rows of the stretch's folds and their attempts."""
    first, last = min(stretch.attempts), max(stretch.attempts)
    counting = np.zeros(last - first + 1, np.int64)  # attempts count from 1
    counting[np.fromiter(stretch.attempts, np.int64) - first] = list(stretch.attempts.values())
    folds = batch.column("fold").to_numpy()
    is_near = (folds >= first) & (folds <= last)
    counts = counting[np.where(is_near, folds - first, 0)] == batch.column("attempt").to_numpy()
    return batch.filter(pa.array(is_near & counts))


def arranged(batches: Sequence[pa.RecordBatch], columns: Sequence[str]) -> list[pa.RecordBatch]:
    """Rows by time, put in the order of their folds, then time."""
    if not batches:
        return []
    whole = pa.concat_batches(batches)
    order = np.argsort(whole.column("fold").to_numpy(), kind="stable")
    chosen = whole.select(list(columns)).take(pa.array(order))
    return [
        chosen.slice(start, _ROWS_A_BATCH) for start in range(0, chosen.num_rows, _ROWS_A_BATCH)
    ]
