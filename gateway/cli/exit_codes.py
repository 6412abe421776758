"""How `stage1` ends: one code per kind of ending, the same for every command."""

from __future__ import annotations

from enum import IntEnum
from typing import Final


class ExitCode(IntEnum):
    OK = 0
    INTERNAL = 1
    USAGE = 2
    NOT_FOUND = 3
    CONFLICT = 4
    REFUSED = 5
    UNAVAILABLE = 6
    NOT_COMPLETED = 7
    FINDINGS = 8
    INCOMPLETE = 9
    ALREADY_RUNNING = 10
    PORT_TAKEN = 11
    FOREIGN_DATA = 12
    NEWER_DATA = 13
    DISK_FULL = 14
    NOT_STARTED = 15
    OTHER_STORE = 16
    NOT_LOADED = 17
    INTERRUPTED = 130


MEANINGS: Final = {
    ExitCode.OK: "done",
    ExitCode.INTERNAL: "an error of Stage1 itself",
    ExitCode.USAGE: "the command line is wrong",
    ExitCode.NOT_FOUND: "there is no such dataset, run or simulation",
    ExitCode.CONFLICT: "it exists already, or its state forbids this",
    ExitCode.REFUSED: "the input breaks a rule, nothing was stored; or a file cannot be written",
    ExitCode.UNAVAILABLE: "Stage1 cannot be reached or is not ready",
    ExitCode.NOT_COMPLETED: "the run or simulation failed or was cancelled",
    ExitCode.FINDINGS: "verify, fsck: something is not as it should be",
    ExitCode.INCOMPLETE: "reexport: not all of the batch was published",
    ExitCode.ALREADY_RUNNING: "up: another Stage1 has this data directory",
    ExitCode.PORT_TAKEN: "up: a port is taken",
    ExitCode.FOREIGN_DATA: "up: the directory is not a Stage1 data directory, or cannot be used",
    ExitCode.NEWER_DATA: "up: a newer Stage1 wrote the data directory",
    ExitCode.DISK_FULL: "up: the disk is full",
    ExitCode.NOT_STARTED: "up: a process did not start",
    ExitCode.OTHER_STORE: "up: the data directory keeps its series in another store",
    ExitCode.NOT_LOADED: "up: QuestDB is not on this machine yet and could not be loaded",
    ExitCode.INTERRUPTED: "interrupted by Ctrl-C",
}


def table() -> str:
    """For `--help`; `\\b` keeps click from re-flowing it."""
    rows = [f"  {code.value:>3}  {meaning}" for code, meaning in MEANINGS.items()]
    return "\b\nExit codes:\n" + "\n".join(rows)
