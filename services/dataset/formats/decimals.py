"""How numbers are written: with a decimal point or comma, with separated thousands or not.

One thousand two hundred and thirty-four must never become 1.234: 1,234 alone is asked, and so is
1.234 alone where fields are separated by semicolons, as those do who write commas for fractions.
A style is fixed by the first rows and then kept to, line by line.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import polars as pl

from services.dataset.formats.options import Options
from services.dataset.formats.refusal import ambiguous, named, refused

COMMAS: Final = r"^[+-]?[0-9.]*,[0-9.,]*([eE][+-]?[0-9]+)?$"
_EXPONENT: Final = r"([eE][+-]?[0-9]+)?$"
_COMMA_FRACTION: Final = r"^[+-]?([0-9]+,[0-9]*|,[0-9]+)" + _EXPONENT
_POINT_FRACTION: Final = r"^[+-]?([0-9]+\.[0-9]*|\.[0-9]+)" + _EXPONENT
_COMMA_GROUPS: Final = r"^[+-]?[0-9]{1,3}(,[0-9]{3})+(\.[0-9]*)?$"
_POINT_GROUPS: Final = r"^[+-]?[0-9]{1,3}(\.[0-9]{3})+(,[0-9]*)?$"
_UNGROUPED: Final = r"^[+-]?([0-9]{4,}(\.[0-9]*)?|0\.[0-9]*)$"


@dataclass(frozen=True, kw_only=True)
class Decimals:
    """`grouped` are the columns whose thousands are separated, by whatever the mark is not."""

    mark: str
    grouped: frozenset[str] = frozenset()
    notes: tuple[str, ...] = ()

    @property
    def is_plain(self) -> bool:
        """Whether numbers are written as programs write them."""
        return self.mark == "." and not self.grouped

    def numbers(self, texts: pl.Series) -> pl.Series:
        """Float64; null where the text is no number written so."""
        if texts.name in self.grouped:
            texts = self._ungrouped(texts)
        elif self.mark == ",":
            texts = texts.set(texts.str.contains(".", literal=True).fill_null(False), None)
        if self.mark == ",":
            texts = texts.str.replace(",", ".", literal=True)
        return texts.cast(pl.Float64, strict=False)

    def _ungrouped(self, texts: pl.Series) -> pl.Series:
        pattern = _COMMA_GROUPS if self.mark == "." else _POINT_GROUPS
        plain = _POINT_FRACTION if self.mark == "." else _COMMA_FRACTION
        fits = texts.str.contains(rf"{pattern}|{plain}|^[+-]?[0-9]+$").fill_null(True)
        texts = texts.set(~fits, None)
        return texts.str.replace_all("," if self.mark == "." else ".", "", literal=True)


POINT: Final = Decimals(mark=".")


class _Signs(NamedTuple):
    """Which ways of writing the texts of a column show; 1,234 and 1.234 could be two."""

    name: str
    comma_fraction: bool = False
    comma_groups: bool = False
    comma_either: bool = False
    point_fraction: bool = False
    point_groups: bool = False
    point_either: bool = False
    is_ungrouped: bool = False


def odd_columns(frame: pl.DataFrame) -> list[str]:
    """Those of text in which something is no number as programs write them."""
    texts = frame.select(pl.col(pl.String))
    read = texts.select(pl.all().cast(pl.Float64, strict=False))
    nulls = zip(texts.columns, texts.null_count().row(0), read.null_count().row(0), strict=True)
    return [name for name, absent, unread in nulls if unread > absent]


def decimals_of(
    columns: pl.DataFrame, separator: str, options: Options, *, by_people: bool
) -> Decimals:
    """By the first rows, as text; those `by_people` may have any style. Raises FileAmbiguous."""
    given = options.decimal
    if given is not None and (given not in (".", ",") or given == separator):
        raise refused(f"is {given!r}: give . or , and not the separator", field="decimal")
    if given is None and not by_people and not odd_columns(columns):
        return POINT
    signs = [_signs(series) for series in columns]
    if given is None and by_people:
        _refuse_unclear_points(signs)
    if given is None and not _has_commas(signs):
        return POINT
    mark = given or _mark(signs)
    grouped = frozenset(s.name for s in signs if _is_grouped(s, mark, is_given=given is not None))
    notes = [] if given else [f"Decimals follow a {'point' if mark == '.' else 'comma'}."]
    if grouped:
        notes.append(f"Thousands are separated in {named(sorted(grouped))}.")
    return Decimals(mark=mark, grouped=grouped, notes=tuple(notes))


def _refuse_unclear_points(signs: Sequence[_Signs]) -> None:
    unclear = [s.name for s in signs if s.point_either]
    shows = any(s.point_fraction or s.is_ungrouped for s in signs)
    if unclear and not shows and not _has_commas(signs):
        what = f"numbers such as 1.234 in {named(unclear)}"
        raise ambiguous(f"is missing: {what} could be fractions or thousands", option="decimal")


def _has_commas(signs: Sequence[_Signs]) -> bool:
    return any(
        s.comma_fraction or s.comma_groups or s.comma_either or s.point_groups for s in signs
    )


def _mark(signs: Sequence[_Signs]) -> str:
    """A point where both are there: the lines with a comma are then refused."""
    if any(s.point_fraction or s.comma_groups for s in signs):
        return "."
    if any(s.comma_fraction or s.point_groups for s in signs):
        return ","
    unclear = [s.name for s in signs if s.comma_either]
    raise ambiguous(
        f"is missing: numbers such as 1,234 in {named(unclear)} could be fractions or thousands",
        option="decimal",
    )


def _is_grouped(signs: _Signs, mark: str, *, is_given: bool) -> bool:
    if mark == ".":
        return signs.comma_groups or (signs.comma_either and not signs.comma_fraction)
    return signs.point_groups or (is_given and signs.point_either and not signs.point_fraction)


def _signs(series: pl.Series) -> _Signs:
    texts = series.drop_nulls()
    is_ungrouped = texts.str.contains(_UNGROUPED).any()
    if not texts.str.contains(r"[.,]").any():
        return _Signs(series.name, is_ungrouped=is_ungrouped)
    fraction, groups = texts.str.contains(_COMMA_FRACTION), texts.str.contains(_COMMA_GROUPS)
    point_fraction = texts.str.contains(_POINT_FRACTION)
    point_groups = texts.str.contains(_POINT_GROUPS)
    return _Signs(
        name=series.name,
        comma_fraction=(fraction & ~groups).any(),
        comma_groups=(groups & ~fraction).any(),
        comma_either=(fraction & groups).any(),
        point_fraction=(point_fraction & ~point_groups).any(),
        point_groups=(point_groups & ~point_fraction).any(),
        point_either=(point_fraction & point_groups).any(),
        is_ungrouped=is_ungrouped,
    )
