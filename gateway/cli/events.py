"""What happens to a run or simulation, followed over lost connections until it ends."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final

import httpx
import orjson

from gateway.cli.api import Api
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
    """Server-sent events; None for a comment, which only says that the line is alive."""
    fields: dict[str, str] = {}
    for line in lines:
        if line.startswith(":"):
            yield None
        elif line:
            name, _, value = line.partition(":")
            fields[name] = value.removeprefix(" ")
        else:
            if "data" in fields:
                yield Event(
                    kind=fields.get("event", "message"),
                    data=orjson.loads(fields["data"]),
                    id=fields.get("id", ""),
                )
            fields = {}


class Followed:
    """An iterator of events that comes back with the last number it saw."""

    def __init__(self, api: Api, path: str, *, sleep: Callable[[float], None] = time.sleep) -> None:
        self._api = api
        self._path = path
        self._sleep = sleep
        self._last = "0"
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
        with self._api.streamed(self._path, headers={"Last-Event-ID": self._last}) as response:
            self._ended = response.status_code == httpx.codes.NO_CONTENT
            for event in parse(response.iter_lines()):
                self._heard = time.monotonic()
                if event is None:
                    continue
                self._last = event.id or self._last
                yield event
                if event.kind == "state_changed" and event.data["status"] in ENDED:
                    self._ended = True
                    return
