"""The embedded PostgreSQL as a process that can be supervised like the others.

    python -m gateway.cli.supervisor.postgres DATA_FOLDER SECRETS_FOLDER

The server itself detaches from whoever starts it, so somebody must stay to stop
it and to notice its death. A DSN for each role is written when it can be used.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import threading
from pathlib import Path
from typing import Final

from gateway.cli.supervisor import secret_files
from services.shared import embedded, provision

POLL_SECONDS: Final = 0.2
ADMINISTRATOR: Final = "postgres_password"


def main(folder: Path, secrets: Path) -> int:
    """Until SIGTERM (0) or until the server dies (1)."""
    ending = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: ending.set())
    # The library counts who uses the server, and a killed user stays counted for ever.
    (folder / ".handle_pids.json").unlink(missing_ok=True)
    if not (secrets / ADMINISTRATOR).exists():
        embedded.forget_password(folder)
    password = secret_files.password(secrets, ADMINISTRATOR)
    with embedded.postgres(folder, password=password) as server:
        for name, dsn in asyncio.run(_provisioned(server.dsn, secrets)).items():
            secret_files.write(dsn_file(secrets, name), dsn)
        while not ending.wait(POLL_SECONDS):
            if not _alive(server.pid):
                return 1
    return 0


def dsn_file(secrets: Path, name: str) -> Path:
    """Of a service, or of the administrator."""
    return secrets / f"{name}.dsn"


async def _provisioned(administrator: str, secrets: Path) -> dict[str, str]:
    """DSNs by name, the administrator's last."""
    names = provision.SCHEMAS
    passwords = {name: secret_files.password(secrets, f"{name}_password") for name in names}
    await provision.provision(administrator, passwords)
    services = {n: provision.dsn_of(administrator, n, passwords[n]) for n in names}
    return {**services, "administrator": administrator}


def _alive(pid: int | None) -> bool:
    try:
        os.kill(pid or 0, 0)
    except ProcessLookupError:
        return False
    return True


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2])))
