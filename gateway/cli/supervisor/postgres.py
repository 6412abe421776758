"""The embedded PostgreSQL as a process that can be supervised like the others.

    python -m gateway.cli.supervisor.postgres DATA_FOLDER DSN_FILE

The server itself detaches from whoever starts it, so somebody must stay to stop
it and to notice its death. The DSN is written when it can be used.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from pathlib import Path
from typing import Final

from services.shared import embedded

POLL_SECONDS: Final = 0.2


def main(folder: Path, dsn_file: Path) -> int:
    """Until SIGTERM (0) or until the server dies (1)."""
    ending = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: ending.set())
    # The library counts who uses the server, and a killed user stays counted for ever.
    (folder / ".handle_pids.json").unlink(missing_ok=True)
    with embedded.postgres(folder) as server:
        _write(dsn_file, server.dsn)
        while not ending.wait(POLL_SECONDS):
            if not _alive(server.pid):
                return 1
    return 0


def _write(path: Path, text: str) -> None:
    aside = path.with_suffix(".new")
    aside.write_text(text, "utf-8")
    aside.rename(path)


def _alive(pid: int | None) -> bool:
    try:
        os.kill(pid or 0, 0)
    except ProcessLookupError:
        return False
    return True


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2])))
