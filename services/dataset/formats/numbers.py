"""Value columns as numbers where they hold any, as text where they hold none.

A column with a single number is a column of numbers: what else stands in it is refused rather
than turned into null or the whole into text. Blocks say what they saw; the file decides.
"""

from __future__ import annotations

from collections.abc import Iterable
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from typing import Final

import polars as pl

from services.dataset.formats.decimals import COMMAS, POINT, Decimals
from services.dataset.formats.refusal import Broken, Places, Rules, refused
from services.dataset.formats.rules import is_finite

_NOTHING: Final = ("nan", "na", "n/a", "#n/a", "null", "none")
_SHOWN: Final = 40
_LONG: Final = r"^[+-]?[0-9]{16,}$"


@dataclass
class Seen:
    """The columns in which some block holds numbers, words, or what may be numbers with commas."""

    numbers: set[str] = field(default_factory=set)
    words: set[str] = field(default_factory=set)
    commas: set[str] = field(default_factory=set)

    def add(self, other: Seen) -> None:
        self.numbers |= other.numbers
        self.words |= other.words
        self.commas |= other.commas

    def texts(self) -> set[str]:
        return self.words - self.numbers - self.commas


@dataclass(frozen=True, kw_only=True)
class Judged:
    frame: pl.DataFrame
    seen: Seen
    broken: tuple[Broken, ...]


@dataclass(frozen=True, kw_only=True)
class Judge:
    """`prices` are numbers whatever they hold; `kept` are text, asked for or by type."""

    prices: AbstractSet[str]
    kept: AbstractSet[str]
    decimals: Decimals = POINT

    def judged(self, block: pl.DataFrame, places: Places, texts: AbstractSet[str]) -> Judged:
        """Float64 with null for what is missing, or String for `texts` and what is kept."""
        floats = [series for series in block if series.dtype == pl.Float64]
        if wrong := next((series.name for series in floats if series.name in self.kept), None):
            raise refused(f"names {wrong!r}, which is no text in it", field="text_columns")
        known = [series if is_finite(series) else series.fill_nan(None) for series in floats]
        frame = block.with_columns(*known)
        seen = Seen({series.name for series in known if series.null_count() < len(series)})
        broken: list[Broken] = []
        columns: list[pl.Series] = []
        for series in frame:
            name = series.name
            if series.dtype == pl.String and name not in self.kept:
                series, wrong_rows = self._of_text(series, places, seen, name in texts)
                broken.extend(wrong_rows)
            if series.dtype == pl.String:
                broken.extend(_unprintable(series, places))
            columns.append(series)
        return Judged(frame=pl.DataFrame(columns), seen=seen, broken=tuple(broken))

    def _of_text(
        self, series: pl.Series, places: Places, seen: Seen, is_text: bool
    ) -> tuple[pl.Series, Iterable[Broken]]:
        name = series.name
        said = series.set(series.str.to_lowercase().is_in(_NOTHING).fill_null(False), None)
        numbers = self.decimals.numbers(said)
        bad = said.is_not_null() & numbers.is_null()
        if numbers.null_count() < len(numbers):
            seen.numbers.add(name)
        if bad.any():
            seen.words.add(name)
            if name in self.prices or said.str.contains(COMMAS).any():
                seen.commas.add(name)
        if is_text:
            return series, ()
        inexact = [places.broken(rule, rows) for rule, rows in rounded(said) if rows.any()]
        if not bad.any():
            return numbers.fill_nan(None), inexact
        example = f" (but {str(said.filter(bad).first())[:_SHOWN]!r}, for example)"
        rule = f"has no number in {name!r}"
        return numbers.fill_nan(None), [
            places.broken(rule, bad.to_numpy(), example),
            *inexact,
        ]


def rounded(texts: pl.Series) -> Rules:
    """Integers that a float64 does not hold."""
    long = texts.str.contains(_LONG).fill_null(False)
    if not long.any():
        return []
    exact = texts.set(~long, None).str.strip_prefix("+").cast(pl.Int128, strict=False)
    kept = exact == exact.cast(pl.Float64).cast(pl.Int128, strict=False)
    rule = f"has an integer in {texts.name!r} that float64 cannot hold exactly"
    return [(rule, (long & ~kept.fill_null(False)).to_numpy())]


def _unprintable(texts: pl.Series, places: Places) -> list[Broken]:
    """A line of text cannot carry them."""
    bad = texts.str.contains(r"\p{Cc}").fill_null(False)
    rule = f"has a line break or another control character in {texts.name!r}"
    return [places.broken(rule, bad.to_numpy())] if bad.any() else []
