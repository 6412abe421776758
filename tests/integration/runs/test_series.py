"""Predictions and simulations in the series store, on both kinds of it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from services.runs.domain.feasibility import make_folds
from services.runs.domain.folds import Fold
from services.runs.domain.plan import Facts, Windows, boundary_rows, with_times
from services.runs.domain.runs import Run
from services.runs.storage.series import SENT, Series
from services.shared.series import SeriesStore
from services.shared.series.arrow_files import arrow_files
from services.shared.series.questdb import questdb_store
from tests.contract.run_examples import RESULT, a_run, a_simulation

HOUR = 3_600_000
TEST_ROWS = 50


@pytest.fixture(params=["arrow", "questdb"])
async def store(
    request: pytest.FixtureRequest, questdb_server: str, tmp_path: Path
) -> AsyncIterator[SeriesStore]:
    async with AsyncExitStack() as stack:
        is_arrow = request.param == "arrow"
        opened = arrow_files(tmp_path) if is_arrow else questdb_store(questdb_server)
        yield await stack.enter_async_context(opened)


def run_of(step: int, count: int) -> Run:
    """Test windows overlap where the step is shorter than they are."""
    run = a_run()
    windows = Windows(train_size=600, test_size=TEST_ROWS, fold_step=step)
    rows = windows.rows_for_one_fold + step * (count - 1)
    facts = Facts(rows=rows, lookback_rows=1, lookahead_rows=1, bar_interval_ms=HOUR)
    planned = make_folds(windows, facts)
    times = {row: row * HOUR for row in boundary_rows(planned)}
    folds = with_times(planned, times, HOUR)
    dataset = replace(run.plan.dataset, facts=facts)
    return replace(run, plan=replace(run.plan, windows=windows, folds=folds, dataset=dataset))


def predicted(rows: range, value: float) -> pa.RecordBatch:
    index = np.arange(rows.start, rows.stop)
    guess = pa.array(np.full(len(rows), value))
    target = pa.array([None if row % 7 == 0 else row / 8 for row in rows], pa.float64())
    return pa.RecordBatch.from_arrays(
        [pa.array(index * HOUR), pa.array(index), guess, target], schema=SENT
    )


@pytest.mark.parametrize("step", [20, TEST_ROWS])
async def test_of_each_fold_the_rows_of_its_committed_attempt_are_read(
    store: SeriesStore, step: int
) -> None:
    run, series = run_of(step, 8), Series(store)
    await series.prepare(run)
    folds, expected = [], []
    for planned in run.plan.folds:
        rows = range(planned.test.rows.start, planned.test.rows.end)
        for attempt in (1, 2):
            result = replace(RESULT, attempt=attempt)
            batch = predicted(rows, planned.number + attempt / 10)
            await series.write_fold(run, planned.number, result, [batch])
        committed = 1 + planned.number % 2
        folds.append(Fold(planned, replace(RESULT, attempt=committed)))
        expected += [(planned.number, row, planned.number + committed / 10) for row in rows]
    names = ["fold", "bar_index", "prediction"]
    batches = [b async for b in series.predictions(run, folds, names)]
    found = pa.Table.from_batches(batches).to_pylist()
    assert [tuple(row.values()) for row in found] == expected
    some = [b async for b in series.predictions(run, folds, names, end_ms=expected[9][1] * HOUR)]
    first = [row for batch in some for row in batch.to_pylist() if row["fold"] == 0]
    assert [row["bar_index"] for row in first] == [row for _, row, _ in expected[:9]]
    await series.drop_of(run.run_id)
    assert run.run_id not in {table.subject_id for table in await series.own_tables()}


async def test_trades_of_one_time_keep_their_order(store: SeriesStore) -> None:
    simulation, series = a_simulation(a_run()), Series(store)
    schema = pa.schema(
        [
            pa.field("timestamp_ms", pa.int64(), nullable=False),
            pa.field("trade_id", pa.int32(), nullable=False),
            ("side", pa.string()),
            ("is_open", pa.bool_()),
            ("pnl", pa.float64()),
        ]
    )
    columns = [[5, 5, 9], [2, 1, 3], ["long", None, ""], [True, None, False], [0.5, None, -1.0]]
    trades = pa.table(columns, schema=schema).to_batches()[0]
    table = simulation.table("trades")
    await series.begin_simulated(table, schema, ("timestamp_ms", "trade_id"))
    await series.write_simulated(table, [trades])
    await series.settle(table)
    _, pieces = await series.simulated(simulation, "trades")
    found = [row async for batch in pieces for row in rows_in(batch)]
    assert [tuple(row.values()) for row in found] == [
        (5, 1, None, None, None),
        (5, 2, "long", True, 0.5),
        (9, 3, "", False, -1.0),
    ]
    await series.drop_of(simulation.simulation_id)
    assert table not in await store.tables()


def rows_in(piece: object) -> list[dict[str, object]]:
    assert isinstance(piece, pa.RecordBatch)
    return list(piece.to_pylist())
