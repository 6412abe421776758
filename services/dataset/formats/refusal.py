"""How a file is refused: the rule it breaks and the lines that break it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from services.shared.errors import InvalidRequest, Violation

SHOWN: Final = 20
FILE: Final = "file"  # the field of a violation that no option can mend

Mask = NDArray[np.bool_]
Int64s = NDArray[np.int64]


class FileRefused(InvalidRequest):
    """The file breaks a rule; nothing of it was taken."""

    reason = "FILE_REFUSED"


class FileAmbiguous(FileRefused):
    """The file can be read in several ways; an option must say which."""

    reason = "FILE_AMBIGUOUS"


def refused(message: str, *, field: str = FILE) -> FileRefused:
    return FileRefused([Violation(field, message)])


def ambiguous(message: str, *, option: str) -> FileAmbiguous:
    return FileAmbiguous([Violation(option, message)])


@dataclass(frozen=True)
class Places:
    """Where each row of a table stands in its file: text lines or rows, counted from 1."""

    noun: str
    numbers: Int64s

    def of(self, bad: Mask) -> str:
        """`in 2 lines: 4, 9`; beyond the first 20 only their number is told."""
        where = self.numbers[bad]
        shown = ", ".join(str(n) for n in where[:SHOWN])
        more = ", …" if len(where) > SHOWN else ""
        return f"in {len(where)} {self.noun}{'s' * (len(where) != 1)}: {shown}{more}"

    def where(self, keep: Mask) -> Places:
        return Places(self.noun, self.numbers[keep])


def refuse_rows(places: Places, broken: Sequence[tuple[str, Mask]]) -> None:
    """Raises with one violation per rule that any row breaks."""
    violations = [Violation(FILE, f"{rule} {places.of(bad)}") for rule, bad in broken if bad.any()]
    if violations:
        raise FileRefused(violations)


def named(names: Sequence[str]) -> str:
    """The first 20 names, quoted."""
    more = ", …" if len(names) > SHOWN else ""
    return ", ".join(repr(name) for name in names[:SHOWN]) + more
