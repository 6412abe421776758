"""What a reader of one format hands over: blocks of columns as in the file, unjudged."""

from __future__ import annotations

from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Any, Final, Protocol

import polars as pl

from services.dataset.formats.columns import Columns
from services.dataset.formats.decimals import Decimals
from services.dataset.formats.options import Format, Options
from services.dataset.formats.refusal import Places

_BLOCK: Final = 8 << 20
_WIDE_BLOCK: Final = 16 << 20  # fewer and longer batches where there are many columns
_WIDE: Final = 200


def block_bytes(columns: int) -> int:
    """How much of a file is read at once."""
    return _WIDE_BLOCK if columns > _WIDE else _BLOCK


@dataclass(frozen=True)
class Block:
    """A Float64 column may hold NaN; a String one may hold numbers; null is an empty field."""

    frame: pl.DataFrame
    places: Places


class Source(Protocol):
    """One file, read any number of times."""

    @property
    def columns(self) -> Columns: ...

    @property
    def notes(self) -> tuple[str, ...]: ...

    @property
    def used(self) -> Options:
        """The options, with what was guessed of the layout filled in."""

    @property
    def no_zone(self) -> str | None:
        """Why times without an offset need a zone to be given, where they do."""

    @property
    def decimals(self) -> Decimals: ...

    @property
    def text_columns(self) -> AbstractSet[str]:
        """Text whatever it holds, unless it is a price: asked for, or by its type."""

    def label(self, *, dates_only_digits: bool) -> tuple[Format, str]:
        """The format, which may hang on the time column being YYYYMMDD, and how it was known."""

    @property
    def sample(self) -> Block:
        """The first rows, all as text where the format does not know types."""

    def pieces(self) -> Iterator[Any]:
        """What `block` takes, in order: reading it is quick, and one at a time."""

    def block(self, piece: Any, texts: AbstractSet[str]) -> Block:
        """In any thread. `texts` are columns to be read as text, which times may be among: all
        others are read as numbers or moments if they can be. Raises FileRefused."""
