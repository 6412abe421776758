from __future__ import annotations

from pathlib import Path
from uuid import uuid4

import pyarrow as pa
import pytest

from services.runs.app import simulating
from services.runs.app.intake import FoldIntake
from services.runs.app.simulating import IncomingTable
from services.runs.storage.models import ModelFiles
from services.runs.storage.series import SENT, Series
from services.shared.arrow_stream import StreamTooLarge, ipc_messages
from services.shared.errors import DataLoss
from services.shared.series.arrow_files import arrow_files
from tests.contract.run_examples import HOUR, a_plan

FOLDS = a_plan().folds
EMPTY = pa.RecordBatch.from_pylist([], schema=SENT)


def empty_message() -> bytes:
    message: bytes = EMPTY.serialize().to_pybytes()
    return message


def intake(folder: Path) -> FoldIntake:
    return FoldIntake(uuid4(), FOLDS, ModelFiles(folder))


def whole_fold(number: int) -> pa.RecordBatch:
    test = FOLDS[number].test
    bars = list(range(test.rows.start, test.rows.end))
    times = [bar * HOUR for bar in bars]
    return pa.record_batch([times, bars, [0.5] * len(bars), [None] * len(bars)], schema=SENT)


async def test_a_trainer_that_sends_without_end_is_cut_off(tmp_path: Path) -> None:
    taking = intake(tmp_path)
    schema, *_ = ipc_messages(SENT, [])
    taking.predictions(0, schema)

    def send_two_megabytes() -> None:
        for _ in range((2 << 20) // len(empty_message())):
            taking.predictions(0, empty_message())

    with pytest.raises(StreamTooLarge):
        send_two_megabytes()


async def test_a_fold_in_batches_of_one_row_is_within_the_limit(tmp_path: Path) -> None:
    taking = intake(tmp_path)
    for number in (0, 1):
        batch = whole_fold(number)
        rows = [batch.slice(i, 1) for i in range(batch.num_rows)]
        for ipc in ipc_messages(SENT, rows):
            taking.predictions(number, ipc)
        await taking.model(number, b"model")
        batches, _ = await taking.complete(number)
        assert pa.Table.from_batches(batches).num_rows == batch.num_rows


async def test_a_part_of_a_fold_that_is_not_planned_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataLoss, match="which is not awaited now"):
        intake(tmp_path).predictions(99, b"")


async def test_a_simulator_that_sends_without_end_is_cut_off(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(simulating, "MAX_TABLE_BYTES", 10_000)
    async with arrow_files(tmp_path) as store:
        table = IncomingTable(Series(store), "s_sim_trades_a1", ("timestamp_ms",))
        schema, *_ = ipc_messages(SENT, [])
        await table.take(schema)

        async def send_some() -> None:
            for _ in range(100):
                await table.take(empty_message())

        with pytest.raises(StreamTooLarge):
            await send_some()
