"""The managed QuestDB as a process that can be supervised like the others.

    python -m gateway.cli.supervisor.questdb DATA_FOLDER SECRETS_FOLDER PORT

It asks for a password on loopback too: a web page, too, can have a browser send a query
to 127.0.0.1, and `drop table` is one.
"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

from gateway.cli.exit_codes import ExitCode
from gateway.cli.failure import Failure
from gateway.cli.supervisor import secret_files
from services.shared import questdb_jar, questdb_server
from services.shared.errors import Stage1Error

USER: Final = "stage1"
PASSWORD: Final = "questdb_password"


def main(folder: Path, secrets: Path, port: int) -> int:
    """Until SIGTERM (0) or until the server dies (1)."""
    password = secret_files.password(secrets, PASSWORD)
    environment = questdb_server.environment(port, user=USER, password=password)
    folder.mkdir(mode=0o700, exist_ok=True)
    ended_by_us = False
    server = subprocess.Popen(
        questdb_server.command(folder),
        env={**os.environ, **environment},
        stdin=subprocess.DEVNULL,
        close_fds=False,  # it holds the lock of the data directory too
    )

    def end(*_: object) -> None:
        nonlocal ended_by_us
        ended_by_us = True
        server.terminate()

    signal.signal(signal.SIGTERM, end)
    server.wait()
    return 0 if ended_by_us else 1


async def load(say: Callable[[str], None]) -> None:
    """Its program, if this machine has none. Raises Failure when it cannot be had."""
    if not questdb_jar.path().exists():
        say(f"Loading QuestDB {questdb_jar.VERSION} (30 MB, this once).")
    try:
        await asyncio.to_thread(questdb_jar.jar)
    except Stage1Error as error:
        raise Failure(str(error), ExitCode.NOT_LOADED) from error


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])))
