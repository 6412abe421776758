"""What QuestDB says, as errors of ours; its own words travel along as the cause."""

from __future__ import annotations

import json
import re
from http import HTTPStatus
from typing import Final

from services.shared.errors import Stage1Error, Unavailable
from services.shared.series import NoSuchTable
from services.shared.series.disk import DiskFull

_ABSENT: Final = re.compile("table does not exist|table not found|table is dropped")
_NAMED: Final = re.compile(r"\[table=([^\]]+)\]")
_FULL: Final = re.compile(
    r"no space left|disk full|errno=28\b|\[28\]|could not allocate (disk|file) space"
)


class StoreRefused(Unavailable):
    """A wrong user, or a statement of ours that it does not take: its owner must look."""

    reason = "QUESTDB_REFUSED"


class WalSuspended(Unavailable):
    """Somebody must look why, and then resume it."""

    reason = "WAL_SUSPENDED"


def refusal(text: str, *, table: str = "", status: int = HTTPStatus.BAD_REQUEST) -> Stage1Error:
    """`text` is a body of JSON or plain; `table` is asked for, should it name none itself."""
    cause = _message(text)
    if _ABSENT.search(cause.lower()):
        named = _NAMED.search(cause)
        return NoSuchTable(f"There is no table {named[1] if named else table}.", cause=cause)
    if _FULL.search(cause.lower()):
        return DiskFull("The disk of QuestDB is full: nothing was stored.", cause=cause)
    if status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
        return StoreRefused("QuestDB refuses the user of STAGE1_QUESTDB_USER.", cause=cause)
    if status == HTTPStatus.TOO_MANY_REQUESTS or status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return Unavailable("QuestDB is not ready; the same call may work later.", cause=cause)
    return StoreRefused("QuestDB refuses what it was asked.", cause=cause)


def suspended(table: str, tag: str, message: str) -> Stage1Error:
    cause = " ".join(part for part in (tag, message) if part)
    told = f"Table {table} of QuestDB takes no rows: its WAL is suspended."
    if _FULL.search(cause.lower()):
        return DiskFull(f"{told} The disk was full.", cause=cause)
    return WalSuspended(f'{told} ALTER TABLE "{table}" RESUME WAL goes on.', cause=cause)


def _message(text: str) -> str:
    try:
        said = json.loads(text)
        return str(said.get("error") or said["message"])
    except (ValueError, KeyError, AttributeError):
        return text.strip()
