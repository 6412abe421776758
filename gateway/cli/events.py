"""What happens to a run or simulation, followed over lost connections until it ends."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final

import httpx
import orjson

from gateway.cli.api import Api, Params
from gateway.cli.exit_codes import ExitCode
from gateway.cli.failure import Failure

ENDED: Final = frozenset({"COMPLETED", "FAILED", "CANCELLED"})
PATIENCE_SECONDS: Final = 60.0
"""Without any answer after which a watch gives up."""
_RETRY_SECONDS: Final = 0.5


@dataclass(frozen=True, kw_only=True)
class Event:
    kind: str
    data: dict[str, Any]
    id: str = ""
    """Empty for progress, which is not kept."""


def parse(lines: Iterable[str]) -> Iterator[Event | None]:
    """Server-sent events; None for a comment, which only says that the line is alive.

    An id that comes without data is an event without any: it moves the place to go on from.
    """
    fields: dict[str, str] = {}
    for line in lines:
        if line.startswith(":"):
            yield None
        elif line:
            name, _, value = line.partition(":")
            fields[name] = value.removeprefix(" ")
        else:
            if fields.keys() & {"data", "id"}:
                yield Event(
                    kind=fields.get("event", "message"),
                    data=orjson.loads(fields.get("data", "{}")),
                    id=fields.get("id", ""),
                )
            fields = {}


def _has_ended(event: Event) -> bool:
    return event.kind == "state_changed" and event.data["status"] in ENDED


class Followed:
    """An iterator of events that comes back with the last number it saw."""

    def __init__(
        self,
        api: Api,
        path: str,
        *,
        params: Params | None = None,
        after: str = "0",
        ends: Callable[[Event], bool] | None = _has_ended,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """`after`: the id to begin after. `ends`: which event is the last; None: none is."""
        self._api = api
        self._path = path
        self._params = params
        self._ends = ends
        self._sleep = sleep
        self._last = after
        self._heard = time.monotonic()
        self._ended = False

    def __iter__(self) -> Iterator[Event]:
        while not self._ended:
            try:
                yield from self._once()
            except Failure as lost:
                patient = time.monotonic() - self._heard < PATIENCE_SECONDS
                if lost.code != ExitCode.UNAVAILABLE or not patient:
                    raise
            if not self._ended:
                self._sleep(_RETRY_SECONDS)

    def _once(self) -> Iterator[Event]:
        headers = {"Last-Event-ID": self._last} if self._last else None
        with self._api.streamed(self._path, self._params, headers) as response:
            self._ended = response.status_code == httpx.codes.NO_CONTENT
            for event in parse(response.iter_lines()):
                self._heard = time.monotonic()
                if event is None:
                    continue
                self._last = event.id or self._last
                if not event.data:
                    continue
                yield event
                if self._ends and self._ends(event):
                    self._ended = True
                    return
