"""How far something is, on standard error; nothing where that is no terminal."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import BinaryIO

from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from gateway.cli import output


def bar() -> Progress:
    """With a line each for what is added; gone when it ends."""
    return Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f} %"),
        TimeElapsedColumn(),
        console=output.console(stderr=True),
        transient=True,
        disable=not output.console(stderr=True).is_terminal,
    )


@contextmanager
def upload(total_bytes: int, then: str) -> Iterator[Callable[[BinaryIO], Counted]]:
    """Wraps the files that make up the total; `then`: what the server does after the last byte."""
    with bar() as shown:
        task = shown.add_task("Sending", total=total_bytes)

        def sent(n: int) -> None:
            shown.advance(task, n)
            if shown.tasks[task].finished:
                shown.update(task, description=then, total=None)

        yield lambda file: Counted(file, sent)


class Counted:
    """A file that tells how much of it was read."""

    def __init__(self, file: BinaryIO, tell: Callable[[int], None]) -> None:
        self._file = file
        self._tell = tell
        self.fileno = file.fileno
        self.seek = file.seek

    def read(self, size: int = -1) -> bytes:
        data = self._file.read(size)
        self._tell(len(data))
        return data
