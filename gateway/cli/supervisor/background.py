"""A whole Stage1 beside a program that does something else: the demo and the tests."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path

from gateway.cli.supervisor import stack, usage
from gateway.cli.supervisor.data_folder import Series
from gateway.cli.supervisor.ports import Ports
from gateway.cli.supervisor.stack import Stack
from gateway.cli.supervisor.usage import Usage

Say = Callable[[str], None]


@contextmanager
def running(path: Path, ports: Ports, say: Say, series: Series | None = None) -> Iterator[Stack]:
    """Up and healthy until the block ends. Raises Failure when it cannot be."""
    up: Future[Stack] = Future()
    loop = asyncio.new_event_loop()
    ending = asyncio.Event()

    async def keep() -> None:
        try:
            async with stack.running(path, ports, say, series) as started:
                up.set_result(started)
                await ending.wait()
        except BaseException as error:
            if up.done():
                raise
            up.set_exception(error)

    thread = threading.Thread(target=loop.run_until_complete, args=(keep(),), name="supervisor")
    thread.start()
    try:
        yield up.result()
    finally:
        loop.call_soon_threadsafe(ending.set)
        thread.join()
        loop.close()


def usages(started: Stack) -> dict[str, Usage] | None:
    roots = {name: child.pid for name, child in started.children.items() if child.pid}
    roots["postgres"] = usage.postmaster(started.folder.postgres)
    return usage.by_name(roots)
