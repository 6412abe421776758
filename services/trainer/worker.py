"""Worker processes, kept from fold to fold and from run to run: importing XGBoost costs seconds.

Spawned, never forked. A worker that dies fails the fold it had, and is replaced.
"""

from __future__ import annotations

import asyncio
import signal
import socket
import sys
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from multiprocessing.connection import Connection
from typing import Any, Final

import structlog

from services.shared.errors import Exhausted, Stage1Error, Unavailable
from services.trainer import messages
from services.trainer.domain import Capabilities, Device, Fold, Progress, Recipe
from services.trainer.frame import FrameFile

SETTLE_SECONDS: Final = 10.0  # a round takes far less
WAIT_SECONDS: Final = 60.0  # a start takes far less; a run that waits looks as if it ran
_IN_WORKER: Final = "services.trainer.child"

log = structlog.get_logger()


class WorkerDied(Unavailable):
    reason = "WORKER_DIED"


class Busy(Exhausted):
    reason = "TRAINER_BUSY"


class Worker:
    """One process. One question at a time; `settle` ends one that was left alone."""

    def __init__(
        self, process: asyncio.subprocess.Process, connection: Connection[Any, Any]
    ) -> None:
        self._process = process
        self._connection = connection
        self._answers: asyncio.Queue[messages.Answer | None] = asyncio.Queue()
        self._is_asked = True  # it answers its start
        self._is_dead = False
        loop = asyncio.get_running_loop()
        self._reader = threading.Thread(target=self._read, args=(loop,), daemon=True)
        self._reader.start()

    @classmethod
    async def start(cls, device: Device | None) -> tuple[Worker, Capabilities]:
        """Raises Refused when the device is not there."""
        ours, theirs = socket.socketpair()
        with ours, theirs:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", _IN_WORKER, str(theirs.fileno()), device or ""),
                pass_fds=[theirs.fileno()],
                stdin=asyncio.subprocess.DEVNULL,
            )
            worker = cls(process, Connection(ours.detach()))
        try:
            ready = await worker._answer("starting")
        except BaseException:
            await worker.stop()
            raise
        assert isinstance(ready, messages.Ready)
        return worker, ready.capabilities

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def died_idle(self) -> bool:
        """Of a worker that is asked nothing: its death is all that it can say."""
        return not self._answers.empty()

    async def open(self, frame: FrameFile, recipe: Recipe, device: Device, threads: int) -> None:
        """Take up a job. Raises Refused when XGBoost does not accept its parameters."""
        self._ask(messages.Open(frame.shape, recipe, device, threads))
        with (
            suppress(OSError),
            socket.fromfd(self._connection.fileno(), socket.AF_UNIX, socket.SOCK_STREAM) as wire,
        ):
            socket.send_fds(wire, [b"f"], [frame.fileno()])
        await self._answer("checking the parameters")

    async def run(self, fold: Fold) -> AsyncIterator[Progress | messages.Done]:
        """What happens until the fold is trained. Raises Refused and WorkerDied."""
        self._ask(messages.Run(fold))
        while self._is_asked:
            answer = await self._answer(f"training fold {fold.number}")
            assert isinstance(answer, Progress | messages.Done)
            yield answer

    async def settle(self) -> bool:
        """End what it does and forget the job; whether it can take another."""
        with suppress(OSError):
            if self._is_asked:
                self._connection.send(messages.Cancel())
            with suppress(TimeoutError):
                async with asyncio.timeout(SETTLE_SECONDS):
                    while (self._is_asked or self.died_idle) and not self._is_dead:
                        self._note(await self._answers.get())
            self._connection.send(messages.Close())
        return not (self._is_asked or self._is_dead)

    async def stop(self) -> None:
        with suppress(ProcessLookupError):
            self._process.kill()
        await self._process.wait()
        await asyncio.to_thread(self._reader.join)
        self._connection.close()

    def _ask(self, question: messages.Open | messages.Run) -> None:
        self._is_asked = True
        with suppress(OSError):  # its death is heard as the answer
            self._connection.send(question)

    async def _answer(self, doing: str) -> messages.Answer:
        answer = await self._answers.get()
        self._note(answer)
        if answer is None:
            raise WorkerDied(f"The worker process {await self._how_it_died()} while {doing}.")
        if isinstance(answer, messages.Failed):
            raise answer.error
        return answer

    def _note(self, answer: messages.Answer | None) -> None:
        self._is_dead = answer is None
        if not isinstance(answer, Progress):
            self._is_asked = False

    async def _how_it_died(self) -> str:
        code = await self._process.wait()
        if code == -signal.SIGKILL:
            return "was killed by SIGKILL, which usually means out of memory,"
        return f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with {code}"

    def _read(self, loop: asyncio.AbstractEventLoop) -> None:
        """In a thread: answers can be megabytes, and `recv` waits for all of one."""
        with suppress(RuntimeError):  # the loop is closed
            while True:
                try:
                    answer = self._connection.recv()
                except (EOFError, OSError):
                    break
                loop.call_soon_threadsafe(self._answers.put_nowait, answer)
            loop.call_soon_threadsafe(self._answers.put_nowait, None)


class Workers:
    """As many workers as jobs may run at once, all on one device."""

    def __init__(self, *, slots: int, threads: int, device: Device | None) -> None:
        """`threads` are those of one worker; without a device, CUDA is used if it is there."""
        self.slots = slots
        self.threads = threads
        self._device = device
        self._capabilities: Capabilities | None = None
        self._lent = 0
        self._free: asyncio.Queue[Worker] = asyncio.Queue()
        self._all: set[Worker] = set()
        self._settling: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Raises Refused when the device is not there."""
        for _ in range(self.slots):
            worker, self._capabilities = await Worker.start(self._device)
            self._device = self._capabilities.device
            self._all.add(worker)
            self._free.put_nowait(worker)

    @property
    def capabilities(self) -> Capabilities:
        if self._capabilities is None:
            raise Unavailable("The trainer is starting; try again shortly.")
        return self._capabilities

    @asynccontextmanager
    async def lent(self) -> AsyncIterator[Worker]:
        """A worker for one job. Waits for one that is still settling or being replaced.

        Raises Busy, and Unavailable when none has come in `WAIT_SECONDS`.
        """
        if self._lent == self.slots:
            raise Busy(f"This trainer takes {self.slots} jobs at once and has them.")
        self._lent += 1
        try:
            worker = await self._living()
            try:
                yield worker
            finally:
                self._give_back(worker)
        finally:
            self._lent -= 1

    async def stop(self) -> None:
        settling = tuple(self._settling)
        for task in settling:
            task.cancel()
        await asyncio.gather(*settling, return_exceptions=True)
        await asyncio.gather(*(worker.stop() for worker in self._all))

    async def _living(self) -> Worker:
        try:
            async with asyncio.timeout(WAIT_SECONDS):
                while (worker := await self._free.get()).died_idle:
                    self._give_back(worker)
                return worker
        except TimeoutError:
            raise Unavailable(
                f"No worker process of this trainer was ready within {WAIT_SECONDS:g} s."
            ) from None

    def _give_back(self, worker: Worker) -> None:
        """In a task: a caller that is cancelled neither waits for the worker nor takes it along."""
        task = asyncio.create_task(self._take_back(worker))
        self._settling.add(task)
        task.add_done_callback(self._settling.discard)

    async def _take_back(self, worker: Worker) -> None:
        if not await worker.settle():
            worker = await self._replaced(worker)
        self._free.put_nowait(worker)

    async def _replaced(self, worker: Worker) -> Worker:
        await worker.stop()
        self._all.discard(worker)
        pause = 0.5
        while True:
            try:
                new, _ = await Worker.start(self._device)
            except (Stage1Error, OSError) as error:
                log.warning("worker_not_replaced", error=str(error), retry_in_seconds=pause)
                await asyncio.sleep(pause)
                pause = min(2 * pause, 30)
            else:
                self._all.add(new)
                return new
