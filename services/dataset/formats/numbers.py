"""Value columns as numbers where they hold any, as text where they hold none."""

from __future__ import annotations

from typing import Final

import polars as pl

from services.dataset.formats.refusal import Places, refuse_rows, refused

_NOTHING: Final = ("nan", "na", "n/a", "#n/a", "null", "none")
_NUMBER_WITH_COMMAS: Final = r"^[+-]?[0-9.]*,[0-9.,]*$"


def numbers_of(series: pl.Series, places: Places, *, must: bool, text: bool) -> pl.Series:
    """Float64 with null for what is missing, or String. `must`: numbers or refusal.

    A column with a single number is a column of numbers: what else stands in it is refused
    rather than turned into null or the whole into text.
    """
    if series.dtype != pl.String:
        if text:
            raise refused(f"names {series.name!r}, which is no text in it", field="text_columns")
        return series.fill_nan(None)
    if text and not must:
        return series
    said = series.set(series.str.to_lowercase().is_in(_NOTHING).fill_null(False), None)
    numbers = said.cast(pl.Float64, strict=False)
    bad = said.is_not_null() & numbers.is_null()
    only_text = bad.any() and numbers.null_count() == len(numbers)
    if only_text and not must and not said.str.contains(_NUMBER_WITH_COMMAS).any():
        return series
    example = said.filter(bad).first() if bad.any() else None
    rule = f"has no number in {series.name!r} (but {str(example)[:40]!r}, for example)"
    refuse_rows(places, [(rule, bad.to_numpy())])
    return numbers.fill_nan(None)
