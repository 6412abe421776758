"""How a file is refused: the rule it breaks and the lines that break it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
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


@dataclass(frozen=True, kw_only=True)
class Broken:
    """A rule, how many rows break it, and where the first of them stand in the file."""

    rule: str
    example: str = ""
    noun: str
    count: int
    first: tuple[int, ...]

    def __str__(self) -> str:
        """`has high below low in 2 lines: 4, 9`; beyond the first 20 only their number is told."""
        shown = ", ".join(str(n) for n in self.first)
        more = ", …" if self.count > len(self.first) else ""
        plural = "s" * (self.count != 1)
        return f"{self.rule}{self.example} in {self.count} {self.noun}{plural}: {shown}{more}"

    def and_then(self, later: Broken) -> Broken:
        first = (*self.first, *later.first)[:SHOWN]
        return replace(self, count=self.count + later.count, first=first)


class RowsRefused(FileRefused):
    """Rows break rules; blocks of one file are told together."""

    def __init__(self, broken: Sequence[Broken]) -> None:
        super().__init__([Violation(FILE, str(rule)) for rule in broken])
        self.broken = tuple(broken)


class Ledger:
    """Gathers the rows that the blocks of a file refuse, in the order rules are first broken."""

    def __init__(self) -> None:
        self._broken: dict[str, Broken] = {}

    def note(self, broken: Sequence[Broken]) -> None:
        for one in broken:
            known = self._broken.get(one.rule)
            self._broken[one.rule] = known.and_then(one) if known else one

    @property
    def broken(self) -> tuple[Broken, ...]:
        return tuple(self._broken.values())

    def close(self) -> None:
        """Raises what was gathered."""
        if self._broken:
            raise RowsRefused(self.broken)


def refused(message: str, *, field: str = FILE) -> FileRefused:
    return FileRefused([Violation(field, message)])


def ambiguous(message: str, *, option: str) -> FileAmbiguous:
    return FileAmbiguous([Violation(option, message)])


@dataclass(frozen=True)
class Places:
    """Where each row of a block stands in its file: text lines or rows, counted from 1."""

    noun: str
    numbers: Int64s

    def broken(self, rule: str, bad: Mask, example: str = "") -> Broken:
        where = self.numbers[bad]
        first = tuple(int(n) for n in where[:SHOWN])
        return Broken(rule=rule, example=example, noun=self.noun, count=len(where), first=first)

    def where(self, keep: Mask) -> Places:
        return Places(self.noun, self.numbers[keep])


Rules = Sequence[tuple[str, Mask]]


def broken_rows(places: Places, rules: Rules) -> list[Broken]:
    """One entry per rule that any row breaks."""
    return [places.broken(rule, bad) for rule, bad in rules if bad.any()]


def refuse_rows(places: Places, rules: Rules) -> None:
    if broken := broken_rows(places, rules):
        raise RowsRefused(broken)


def named(names: Sequence[str]) -> str:
    """The first 20 names, quoted."""
    more = ", …" if len(names) > SHOWN else ""
    return ", ".join(repr(name) for name in names[:SHOWN]) + more
