"""Runs a module that ends when the process that started it does, however that died.

    python -m gateway.cli.supervisor.leash services.dataset

Standard input is a pipe whose other end only the supervisor has: its end means
that the supervisor is gone. This works on Linux and macOS alike, which
PR_SET_PDEATHSIG does not.
"""

from __future__ import annotations

import os
import runpy
import signal
import sys
import threading
import time
from typing import Final

GRACE_SECONDS: Final = 15.0


def watch() -> None:
    """SIGTERM to this process and its workers when standard input ends, then SIGKILL."""
    threading.Thread(target=_watch, name="leash", daemon=True).start()


def _watch() -> None:
    while os.read(0, 1):
        pass
    os.killpg(0, signal.SIGTERM)
    time.sleep(GRACE_SECONDS)
    os.killpg(0, signal.SIGKILL)


if __name__ == "__main__":
    watch()
    module = sys.argv[1]
    sys.argv[:] = sys.argv[1:]
    runpy.run_module(module, run_name="__main__", alter_sys=True)
