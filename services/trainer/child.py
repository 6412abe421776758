"""The worker process: maps one job's rows and trains its folds as they are asked for.

Started as `python -m services.trainer.child <descriptor> <device or nothing>`; the
descriptor is a socket to the trainer, and its end is the end of this process.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
import time
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Final

import structlog

from services.shared import logging
from services.shared.errors import Stage1Error
from services.shared.settings import Settings
from services.trainer import engine, messages
from services.trainer.domain import Device, Progress
from services.trainer.fold import train_fold
from services.trainer.frame import Frame

PROGRESS_SECONDS: Final = 0.5  # at most two a second, however short the folds are

log = structlog.get_logger()


class _CancelledByTrainer(Exception):
    pass


class Child:
    def __init__(self, connection: Connection[Any, Any]) -> None:
        self._connection = connection
        self._job: tuple[Frame, messages.Open] | None = None
        self._last_progress = 0.0

    def serve(self) -> None:
        """Until the trainer is gone, which `recv` says with EOFError."""
        while True:
            asked = self._connection.recv()
            try:
                answer = self._answer(asked)
            except Stage1Error as error:
                answer = messages.Failed(error)
            except _CancelledByTrainer:
                answer = messages.Cancelled()
            except (EOFError, ConnectionError):
                raise
            except Exception as error:
                log.exception("training_crashed")
                text = f"Training failed: {engine.sentence(error)}."
                answer = messages.Failed(Stage1Error(text, reason="TRAINING_FAILED"))
            if answer is not None:
                self._connection.send(answer)

    def _answer(self, asked: object) -> messages.Answer | None:
        match asked:
            case messages.Open():
                return self._open(asked)
            case messages.Run():
                return self._run(asked)
            case messages.Close():
                self._job = None
        return None  # a Cancel that came after its answer

    def _open(self, asked: messages.Open) -> messages.Opened:
        with socket.fromfd(self._connection.fileno(), socket.AF_UNIX, socket.SOCK_STREAM) as wire:
            _, (descriptor,), _, _ = socket.recv_fds(wire, 1, 1)
        try:
            self._job = Frame(descriptor, asked.shape), asked
        finally:
            os.close(descriptor)
        given = engine.parameters(asked.recipe.learner, device=asked.device, threads=asked.threads)
        engine.check(given, asked.shape.columns)
        return messages.Opened()

    def _run(self, asked: messages.Run) -> messages.Done:
        assert self._job is not None, "Open comes before Run"
        frame, job = self._job
        began = time.perf_counter()
        trained = train_fold(
            asked.fold,
            frame,
            job.recipe,
            device=job.device,
            threads=job.threads,
            on_progress=self._on_progress,
        )
        return messages.Done(trained, time.perf_counter() - began)

    def _on_progress(self, progress: Progress) -> None:
        if self._connection.poll():
            self._connection.recv()  # only Cancel comes before the answer
            raise _CancelledByTrainer
        now = time.monotonic()
        if now - self._last_progress >= PROGRESS_SECONDS:
            self._last_progress = now
            self._connection.send(progress)


def main(descriptor: int, device: Device | None) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal sends it to the trainer, too
    settings = Settings()
    logging.configure(
        process="trainer-worker", format=settings.log_format, level=settings.log_level
    )
    with suppress(OSError):  # Linux only: when memory runs out, let it be this process that goes
        Path("/proc/self/oom_score_adj").write_text("500")
    connection: Connection[Any, Any] = Connection(descriptor)
    try:
        connection.send(messages.Ready(engine.capabilities(device)))
    except Stage1Error as error:
        connection.send(messages.Failed(error))
        return
    with suppress(EOFError, ConnectionError):
        Child(connection).serve()


if __name__ == "__main__":
    main(int(sys.argv[1]), Device(sys.argv[2]) if sys.argv[2] else None)
