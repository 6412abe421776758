"""A run or simulation watched on a terminal until it ends."""

from __future__ import annotations

from contextlib import closing
from typing import Any, Final

from rich.progress import Progress, TaskID

from gateway.cli import output, progress
from gateway.cli.api import Api
from gateway.cli.events import Event, Followed
from gateway.cli.exit_codes import ExitCode
from gateway.cli.failure import Failure
from gateway.cli.waiting import Waiting

_NOTE_EVERY: Final = 10


def until_ended(api: Api, path: str, *, device: str | None = None) -> Any:
    """The answer of `path` after its last event. Its state is not judged: `completed` does that.

    `device`: the one it asked for, empty for any, None when that is not known.
    """
    waiting = Waiting(api.url, "trainer" if path.startswith("/api/runs/") else "simulator", device)
    with progress.bar() as bar, closing(waiting):
        shown = _Shown(bar, waiting)
        for event in Followed(api, f"{path}/events"):
            shown.take(event)
    return api.get(path)


def completed(what: str, found: Any) -> None:
    """Raises Failure unless it is COMPLETED."""
    if found["status"] == "COMPLETED":
        return
    why = f": {found['error']}" if found["error"] else "."
    raise Failure(f"The {what} is {found['status']}{why}", ExitCode.NOT_COMPLETED)


class _Shown:
    """Folds as a bar with the fold under way; where there is no terminal, a line now and then."""

    def __init__(self, bar: Progress, waiting: Waiting) -> None:
        self._bar = bar
        self._waiting = waiting
        self._task: TaskID = bar.add_task("queued", total=None)

    def take(self, event: Event) -> None:
        draw = getattr(self, f"_{event.kind}", None)
        if draw is not None:
            draw(event.data)

    def _state_changed(self, data: dict[str, Any]) -> None:
        self._bar.update(self._task, description=data["status"].lower())
        if data["status"] == "QUEUED":
            self._waiting.begin()
        else:
            self._waiting.close()

    def _progress(self, data: dict[str, Any]) -> None:
        self._bar.update(
            self._task,
            description=f"fold {data['fold_number']}, round {data['round']}/{data['rounds']}, "
            f"validation {output.number(data['validation_score'])}",
        )

    def _fold_completed(self, data: dict[str, Any]) -> None:
        done, count = data["folds_completed"], data["fold_count"]
        self._bar.update(self._task, completed=done, total=count)
        if self._bar.disable and (done % _NOTE_EVERY == 0 or done == count):
            output.note(f"{done} of {count} folds are done")

    def _log(self, data: dict[str, Any]) -> None:
        output.note(data["text"])
