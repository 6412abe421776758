from __future__ import annotations

import asyncio
import errno
import os
import signal
import subprocess
import sys
from contextlib import closing
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from services.shared.errors import Unavailable
from services.trainer.domain import Device, Fold, Learner, Progress, Recipe, Refused, TrainedFold
from services.trainer.frame import FrameFile, Shape
from services.trainer.messages import Done
from services.trainer.worker import Busy, Worker, WorkerDied, Workers
from tests.unit.trainer.examples import NAMES, RECIPE, Table, fold, table, trained

ENDLESS = replace(RECIPE, learner=Learner(num_boost_round=100_000, early_stopping_rounds=100_000))


async def take_up(worker: Worker, recipe: Recipe = RECIPE, data: Table | None = None) -> None:
    data = data or table()
    shape = Shape(first_row=0, rows=data.target.size, columns=len(NAMES))
    with closing(FrameFile(shape, NAMES)) as frame:
        frame.append(list(data.features.T.astype(np.float64)), data.target)
        await worker.open(frame, recipe, Device.CPU, 1)


async def train(worker: Worker, planned: Fold) -> TrainedFold:
    answers = [answer async for answer in worker.run(planned)]
    assert isinstance(answers[-1], Done)
    return answers[-1].trained


async def begin(worker: Worker) -> None:
    """A fold without end, up to its first sign of life."""
    await take_up(worker, ENDLESS)
    assert isinstance(await anext(worker.run(fold())), Progress)


async def test_a_spawned_worker_predicts_what_this_process_predicts(workers: Workers) -> None:
    async with workers.lent() as worker:
        await take_up(worker)
        there = await train(worker, fold())
    here = trained()
    np.testing.assert_array_equal(there.prediction, here.prediction)
    assert there.model == here.model
    assert there.evaluation == here.evaluation


async def test_a_worker_is_kept_from_fold_to_fold_and_from_job_to_job(workers: Workers) -> None:
    async with workers.lent() as worker:
        first = worker.pid
        await take_up(worker)
        results = [await train(worker, fold(start=n, number=n)) for n in range(2)]
    async with workers.lent() as worker:
        assert worker.pid == first
        await take_up(worker)
        again = await train(worker, fold())
    np.testing.assert_array_equal(again.prediction, results[0].prediction)
    assert not np.array_equal(again.prediction, results[1].prediction)


async def test_a_trainer_takes_as_many_jobs_as_it_has_slots(workers: Workers) -> None:
    async with workers.lent():
        with pytest.raises(Busy):
            async with workers.lent():
                pass


async def test_a_fold_that_is_left_alone_is_cancelled_and_the_worker_goes_on(
    workers: Workers,
) -> None:
    async with workers.lent() as worker:
        first = worker.pid
        await begin(worker)
    async with workers.lent() as worker:
        assert worker.pid == first
        await take_up(worker)
        assert (await train(worker, fold())).fold == 0


@pytest.mark.parametrize(
    ("number", "said"), [(signal.SIGKILL, "out of memory"), (signal.SIGSEGV, "SIGSEGV")]
)
async def test_a_worker_that_is_killed_fails_its_fold_and_is_replaced(
    workers: Workers, number: signal.Signals, said: str
) -> None:
    async with workers.lent() as worker:
        killed = worker.pid
        await begin(worker)
        os.kill(killed, number)
        with pytest.raises(WorkerDied, match=said):
            await train_on(worker)
    async with workers.lent() as worker:
        assert worker.pid != killed
        await take_up(worker)
        assert (await train(worker, fold())).fold == 0


async def train_on(worker: Worker) -> None:
    async for _ in worker.run(fold()):
        pass


async def killed_idle(workers: Workers) -> int:
    """The pid of the worker that is next in line, and dead."""
    async with workers.lent() as worker:
        pass
    os.kill(worker.pid, signal.SIGKILL)
    async with asyncio.timeout(30):
        while not worker.died_idle:  # noqa: ASYNC110  # heard in a thread, told to nobody
            await asyncio.sleep(0.01)
    return worker.pid


async def test_a_worker_that_died_between_jobs_is_replaced_before_the_next(
    workers: Workers,
) -> None:
    dead = await killed_idle(workers)
    async with workers.lent() as worker:
        assert worker.pid != dead
        await take_up(worker)


async def lend(workers: Workers) -> int:
    async with asyncio.timeout(60), workers.lent() as worker:
        return worker.pid


async def test_a_call_cancelled_while_its_worker_is_replaced_takes_no_slot_along(
    workers: Workers,
) -> None:
    dead = await killed_idle(workers)
    call = asyncio.create_task(lend(workers))
    await asyncio.sleep(0)  # until it waits
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    assert await lend(workers) != dead


async def test_a_machine_that_starts_no_process_is_said_and_tried_again(
    workers: Workers, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = asyncio.create_subprocess_exec
    is_full = True

    async def scarce(*args: str, **how: Any) -> asyncio.subprocess.Process:
        if is_full:
            raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))
        return await start(*args, **how)

    monkeypatch.setattr(asyncio, "create_subprocess_exec", scarce)
    dead = await killed_idle(workers)
    with monkeypatch.context() as patch:
        patch.setattr("services.trainer.worker.WAIT_SECONDS", 0.1)
        with pytest.raises(Unavailable, match="No worker process"):
            await lend(workers)
    is_full = False
    assert await lend(workers) != dead


async def test_refused_parameters_come_back_as_they_were_raised(workers: Workers) -> None:
    wrong = replace(RECIPE, learner=Learner(parameters={"max_dept": "3"}))
    async with workers.lent() as worker:
        with pytest.raises(Refused, match="max_dept") as caught:
            await take_up(worker, wrong)
        assert caught.value.reason == "PARAMETER_REFUSED"
        await take_up(worker)


async def test_a_fold_that_cannot_be_trained_leaves_the_worker_usable(workers: Workers) -> None:
    data = table()
    data.target[:300] = 1.0
    async with workers.lent() as worker:
        await take_up(worker, data=data)
        with pytest.raises(Refused, match="constant"):
            await train(worker, fold())
        assert (await train(worker, fold(start=90))).fold == 0


async def test_a_device_that_is_not_there_is_refused_at_start(workers: Workers) -> None:
    if workers.capabilities.device is Device.CUDA:
        pytest.skip("A GPU answers here.")
    with pytest.raises(Refused, match="CUDA"):
        await Worker.start(Device.CUDA)


TRAINER = """
import asyncio
from services.trainer.worker import Worker

async def main():
    worker, _ = await Worker.start(None)
    print("started", flush=True)
    await asyncio.sleep(600)

asyncio.run(main())
"""


def test_a_worker_ends_with_its_trainer() -> None:
    trainer = subprocess.Popen([sys.executable, "-c", TRAINER], stdout=subprocess.PIPE)
    with trainer:
        assert trainer.stdout is not None
        assert trainer.stdout.readline() == b"started\n"
        trainer.kill()
        # Ends when the last process that holds it has gone: the worker, too.
        assert trainer.stdout.read() == b""
