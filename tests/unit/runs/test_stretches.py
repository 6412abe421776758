from __future__ import annotations

from dataclasses import replace

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.runs.domain.feasibility import make_folds
from services.runs.domain.folds import Fold
from services.runs.domain.plan import (
    Facts,
    Windows,
    boundary_rows,
    with_times,
)
from services.runs.storage import stretches as module
from services.runs.storage.stretches import Stretch, arranged, only_counted, stretches
from tests.contract.run_examples import RESULT

BAR = 1000


def folds_of(step: int, attempts: list[int | None]) -> list[Fold]:
    """Ten test rows each; None is a fold that is not stored."""
    windows = Windows(train_size=600, test_size=10, fold_step=step)
    rows = 700 + step * len(attempts)
    facts = Facts(rows=rows, lookback_rows=1, lookahead_rows=1, bar_interval_ms=BAR)
    planned = make_folds(windows, facts)[: len(attempts)]
    times = {row: row * BAR for row in boundary_rows(planned)}
    return [
        Fold(fold, None if attempt is None else replace(RESULT, attempt=attempt))
        for fold, attempt in zip(with_times(planned, times, BAR), attempts, strict=True)
    ]


def rows_of(stretch: Stretch, written: list[dict[str, int]]) -> list[dict[str, int]]:
    """As a series store gives them, and as they are handed on."""
    span = [row for row in written if stretch.start <= row["time"] < stretch.end]
    by_time = sorted(span, key=lambda row: (row["time"], row["fold"]))
    if not stretch.is_tangled:
        where = stretch.where.items()
        return [row for row in by_time if all(row[name] == value for name, value in where)]
    counted = only_counted(pa.RecordBatch.from_pylist(by_time), stretch)
    batches = arranged([counted], ["time", "fold", "attempt"])
    return [row for batch in batches for row in batch.to_pylist()]


@given(st.integers(1, 15), st.lists(st.none() | st.integers(1, 3), min_size=1, max_size=12))
def test_stretches_give_every_stored_row_once_in_the_order_of_folds(
    step: int, attempts: list[int | None]
) -> None:
    folds = folds_of(step, attempts)
    stored = [(f.planned, f.result.attempt) for f in folds if f.result]
    written = [  # by whichever attempt: what was never committed must not be read
        {"time": row * BAR, "fold": f.planned.number, "attempt": attempt}
        for f in folds
        for attempt in (1, 2, 3)
        for row in range(f.planned.test.rows.start, f.planned.test.rows.end)
    ]
    read = [row for stretch in stretches(folds, BAR) for row in rows_of(stretch, written)]
    assert read == [
        {"time": row * BAR, "fold": planned.number, "attempt": attempt}
        for planned, attempt in stored
        for row in range(planned.test.rows.start, planned.test.rows.end)
    ]


def test_neighbours_of_one_attempt_are_read_together() -> None:
    assert len(list(stretches(folds_of(10, [1] * 12), BAR))) == 1
    assert len(list(stretches(folds_of(10, [1, 1, 2, 2, None, 2]), BAR))) == 3


def test_folds_that_overlap_are_read_together_whatever_their_attempt() -> None:
    assert len(list(stretches(folds_of(1, [1, 2] * 1000), BAR))) == 1
    assert len(list(stretches(folds_of(9, [1, None, 3, 1]), BAR))) == 2


def test_only_so_many_rows_are_put_in_order_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "TANGLED_ROWS", 40)
    found = stretches(folds_of(9, [1] * 10), BAR)
    assert [list(stretch.attempts) for stretch in found] == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]


def test_a_chosen_stretch_ends_with_its_last_row() -> None:
    [stretch] = stretches(folds_of(10, [1, 1, 1])[:2], BAR)
    assert stretch.end == (609 + 20 - 1) * BAR + 1
