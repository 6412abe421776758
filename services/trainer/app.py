"""Training a job: rows in, folds out one by one. Keeps nothing when it ends."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
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

    async def read(self, job: TrainJob, take: Callable[[Batch], None]) -> None:
        """Gives the job's rows in order to `take`, in a thread; also when cancelled it ends
        after the last of these."""


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
                filling = _Filling(frame, job, times)
                await self._rows.read(job, filling.take)
                filling.finish()
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


class _Filling:
    """The frame of a job, as its rows come."""

    def __init__(self, frame: FrameFile, job: TrainJob, times: Times) -> None:
        self._frame = frame
        self._first_row = job.first_row
        self._times = times
        self._done = 0

    def take(self, batch: Batch) -> None:
        """Raises DataLoss for rows that are not the next."""
        first, end = self._first_row + self._done, self._done + batch.target.size
        expected = np.arange(first, self._first_row + end)
        if not (
            np.array_equal(batch.index, expected)
            and np.array_equal(batch.timestamp_ms, self._times[self._done : end])
        ):
            raise DataLoss(
                f"Rows from {first} on came with other indices or times "
                "than the index map has for them."
            )
        self._frame.append(batch.features, batch.target)
        self._done = end

    def finish(self) -> None:
        if self._done != self._times.size:
            raise DataLoss(f"{self._done} rows came where {self._times.size} were asked for.")


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
