"""Training a job: rows in, folds out one by one. Keeps nothing when it ends."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Coroutine
from contextlib import closing
from typing import Protocol

import numpy as np

from services.shared.errors import DataLoss
from services.trainer.domain import (
    Batch,
    Device,
    Environment,
    Event,
    Finished,
    Fold,
    FoldCompleted,
    FoldStarted,
    Heartbeat,
    Log,
    Progress,
    Refused,
    Times,
    TrainJob,
    check_times,
)
from services.trainer.frame import FrameFile, Shape
from services.trainer.worker import Worker, Workers


class Rows(Protocol):
    """What a trainer needs of the dataset service."""

    async def times(self, job: TrainJob) -> Times:
        """Of the job's rows."""

    def batches(self, job: TrainJob) -> AsyncIterator[Batch]:
        """The job's rows in order."""


class Trainer:
    def __init__(self, *, workers: Workers, rows: Rows) -> None:
        self._workers = workers
        self._rows = rows

    async def train(self, job: TrainJob) -> AsyncGenerator[Event]:
        """Closing it ends the training within a boosting round.

        Raises Busy, Refused, WorkerDied, and what the dataset service raises.
        """
        device = self._device_for(job)
        async with self._workers.lent() as worker:
            yield Environment(
                device=device,
                versions=self._workers.capabilities.versions,
                threads=self._workers.threads,
                seed=job.recipe.learner.seed,
            )
            times = await self._rows.times(job)
            check_times(job, times)
            shape = Shape(
                first_row=job.first_row,
                rows=job.end_row - job.first_row,
                columns=len(job.recipe.features),
            )
            with closing(FrameFile(shape, job.recipe.features)) as frame:
                await self._fill(frame, job, times)
                await worker.open(frame, job.recipe, device, self._workers.threads)
            yield Log(f"Read {shape.rows} rows of {shape.columns} features; training on {device}.")
            for fold in job.folds:
                async for event in _trained(worker, fold, times[fold.test.start - job.first_row :]):
                    yield event
        yield Finished()

    def _device_for(self, job: TrainJob) -> Device:
        has = self._workers.capabilities.device
        if job.device is Device.CUDA and has is Device.CPU:
            raise Refused(
                "The run asks for cuda and this trainer has no GPU that answers.",
                reason="DEVICE_UNAVAILABLE",
            )
        return job.device or has

    async def _fill(self, frame: FrameFile, job: TrainJob, times: Times) -> None:
        done = 0
        async for batch in self._rows.batches(job):
            end = done + batch.target.size
            expected = np.arange(job.first_row + done, job.first_row + end)
            if not (
                np.array_equal(batch.index, expected)
                and np.array_equal(batch.timestamp_ms, times[done:end])
            ):
                raise DataLoss(
                    f"Rows from {job.first_row + done} on came with other indices or times "
                    "than the index map has for them."
                )
            # Shielded: a file closed while a thread writes could be another one by then.
            await _to_its_end(asyncio.to_thread(frame.append, batch.features, batch.target))
            done = end
        if done != times.size:
            raise DataLoss(f"{done} rows came where {times.size} were asked for.")


async def _to_its_end(work: Coroutine[None, None, None]) -> None:
    """Also when cancelled, which is then raised."""
    task = asyncio.ensure_future(work)
    try:
        await asyncio.shield(task)
    finally:
        await asyncio.wait([task])


async def _trained(worker: Worker, fold: Fold, times: Times) -> AsyncIterator[Event]:
    yield FoldStarted(fold.number)
    async for answer in worker.run(fold):
        if isinstance(answer, Progress):
            yield answer
        else:
            yield FoldCompleted(
                trained=answer.trained,
                timestamp_ms=times[: fold.test.rows],
                first_test_row=fold.test.start,
                seconds=answer.seconds,
            )


async def with_heartbeats(events: AsyncGenerator[Event], every: float) -> AsyncGenerator[Event]:
    """The events, and a heartbeat whenever there was none for `every` seconds."""
    upcoming: asyncio.Future[Event] | None = None
    try:
        while True:
            upcoming = upcoming or asyncio.ensure_future(anext(events))
            done, _ = await asyncio.wait([upcoming], timeout=every)
            if not done:
                yield Heartbeat()
                continue
            try:
                event = upcoming.result()
            except StopAsyncIteration:
                return
            upcoming = None
            yield event
    finally:
        if upcoming is not None:
            upcoming.cancel()
            await asyncio.wait([upcoming])
        await events.aclose()
