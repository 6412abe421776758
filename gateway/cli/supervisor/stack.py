"""A whole Stage1 on one machine: started in order, kept alive, stopped in reverse."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Final

import structlog

from gateway.cli.exit_codes import ExitCode
from gateway.cli.failure import Failure
from gateway.cli.supervisor import data_folder, programs, questdb
from gateway.cli.supervisor.child import Child, Program, Surroundings
from gateway.cli.supervisor.data_folder import DataFolder, Series
from gateway.cli.supervisor.ports import Ports
from services.shared.settings import Settings

START_SECONDS: Final = 90.0
TRIES: Final = 6
"""Deaths before it was ever ready after which a start is given up."""
LOG_BYTES: Final = 64 << 20

Say = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class Stack:
    folder: DataFolder
    ports: Ports
    children: Mapping[str, Child]


@asynccontextmanager
async def running(
    path: Path, ports: Ports, say: Say, series: Series | None = None
) -> AsyncIterator[Stack]:
    """Everything up and healthy, until the block ends. Raises Failure when it cannot be."""
    async with AsyncExitStack() as stack:
        folder = await stack.enter_async_context(data_folder.opened(path, series))
        ports.require_free(with_questdb=folder.series == "questdb")
        folder.announce(ports.url)
        if folder.series == "questdb":
            await questdb.load(say)
        with data_folder.usable(path):
            folder.forget_addresses()
            log = stack.enter_context(_log(folder.log))
        around = Surroundings(log=log, lock=folder.lock, say=_both(say, log))
        stores = [programs.postgres(folder), *programs.series_server(folder, ports)]
        started = await _started(stack, stores, around, folder.log)
        started += await _started(stack, programs.services(folder, ports), around, folder.log)
        children = {child.program.name: child for child in started}
        try:
            yield Stack(folder=folder, ports=ports, children=children)
        finally:
            around.say("Stopping.")


async def _started(
    stack: AsyncExitStack, wanted: Sequence[Program], around: Surroundings, log: Path
) -> list[Child]:
    """All of them, ready; each is stopped when the stack unwinds."""
    children = [Child(program, around) for program in wanted]
    for child in children:
        await stack.enter_async_context(kept(child))
    until = time.monotonic() + START_SECONDS
    for child in children:
        await _ready(child, until, log)
        around.say(f"{child.program.name} is ready.")
    return children


@asynccontextmanager
async def kept(child: Child) -> AsyncIterator[Child]:
    """The child, kept running until the block ends."""
    task = asyncio.create_task(child.keep(), name=child.program.name)
    try:
        yield child
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def _ready(child: Child, until: float, log: Path) -> None:
    while not child.ready.is_set():
        if child.failures >= TRIES:
            raise _not_started(child, f"ended {TRIES} times before it was ready", log)
        if time.monotonic() > until:
            raise _not_started(child, f"was not ready within {START_SECONDS:.0f} s", log)
        with suppress(TimeoutError):
            await asyncio.wait_for(child.ready.wait(), 0.2)


def _not_started(child: Child, what: str, log: Path) -> Failure:
    sentence = f"{child.program.name} {what}; the log says why: {log}"
    return Failure(sentence, ExitCode.NOT_STARTED)


def _log(path: Path) -> BinaryIO:
    """Every process appends to it; one that has grown large is put aside first."""
    if path.exists() and path.stat().st_size > LOG_BYTES:
        path.replace(path.with_suffix(".old.log"))
    return path.open("ab", buffering=0)


def _both(say: Say, log: BinaryIO) -> Say:
    """To the person, and to the log in the form the other processes write."""
    renderer: structlog.typing.Processor = structlog.dev.ConsoleRenderer(colors=False)
    if Settings().log_format == "json":
        renderer = structlog.processors.JSONRenderer()
    logger = structlog.wrap_logger(
        structlog.BytesLogger(log),
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            renderer,
            _encoded,
        ],
    ).bind(process="supervisor")

    def both(sentence: str) -> None:
        with suppress(OSError):  # a full disk must not end the supervisor
            logger.info("supervised", said=sentence)
        say(sentence)

    return both


def _encoded(_logger: object, _method: str, line: Any) -> bytes:
    return str(line).encode()
