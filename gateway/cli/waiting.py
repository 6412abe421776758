"""Why a run or simulation is still queued, said once it has waited for a while."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Final, Literal

from gateway.cli import output
from gateway.cli.api import Api
from gateway.cli.failure import Failure

Kind = Literal["trainer", "simulator"]
QUEUED_SECONDS: Final = 5.0


class Waiting:
    """Looks from a thread of its own, since a watch of something queued hears nothing."""

    def __init__(self, url: str, kind: Kind, device: str | None) -> None:
        self._url = url
        self._kind = kind
        self._device = device
        self._timer: threading.Timer | None = None

    def begin(self) -> None:
        self.close()
        self._timer = timer = threading.Timer(QUEUED_SECONDS, lambda: self._tell(timer))
        timer.daemon = True
        timer.start()

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _tell(self, timer: threading.Timer) -> None:
        with suppress(Failure), Api(self._url) as api:
            sentence = why(api.get("/api/workers")["workers"], self._kind, self._device)
            if timer is self._timer:
                output.note(f"Waiting: {sentence}.")


def why(workers: Sequence[dict[str, Any]], kind: Kind, device: str | None) -> str:
    """`device`: the one asked for, empty for any, None when that is not known."""
    of_kind = [w for w in workers if w["kind"] == kind]
    able = [w for w in of_kind if not device or w["device"] == device]
    if not of_kind:
        return f"no {kind} is registered"
    if not able:
        return f"no registered {kind} has {device}"
    if all(w["busy"] >= w["slots"] for w in able):
        return f"every {kind} is busy"
    if device is None:
        return f"no free {kind} takes it; it may ask for a device that none has"
    return f"a {kind} is free and has not taken it yet"
