"""What a reader of one format hands over: the file's columns, named as there, unjudged."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import polars as pl

    from services.dataset.formats.columns import Columns
    from services.dataset.formats.options import Format
    from services.dataset.formats.refusal import Places


@dataclass(frozen=True, kw_only=True)
class Raw:
    """A Float64 column may hold NaN; a String one may hold numbers; null is an empty field."""

    frame: pl.DataFrame
    places: Places
    columns: Columns
    format: Format
    notes: tuple[str, ...]
