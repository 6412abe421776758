"""One block of a file, read and judged in a worker thread: all that needs no other block."""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np
import polars as pl

from services.dataset.formats.columns import BARS, UNNAMED
from services.dataset.formats.looks import Look
from services.dataset.formats.numbers import Judge, Seen
from services.dataset.formats.options import Kind, Options
from services.dataset.formats.raw import Block, Source
from services.dataset.formats.refusal import Broken, Places, RowsRefused, broken_rows
from services.dataset.formats.rules import broken_bars, broken_numbers
from services.dataset.formats.timestamps import broken_moments, look_at

STAMP, TIME, LINE = "stamp", "time", "line"


class Numbering(NamedTuple):
    """Of a column without a name: its first and last number, None when they do not count up."""

    first: int | None
    last: int | None


@dataclass(frozen=True, kw_only=True)
class Cooked:
    """`unread` are rows that could not be read, `wrong` those that break a rule once read."""

    places: Places
    stamps: pl.DataFrame
    values: pl.DataFrame
    look: Look
    seen: Seen = field(default_factory=Seen)
    markets: tuple[str, ...] = ()
    numbering: Numbering | None = None
    unread: tuple[Broken, ...] = ()
    wrong: tuple[Broken, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Cook:
    """`texts` are the columns taken to be text; `market` the one that is picked."""

    source: Source
    kind: Kind
    options: Options
    judge: Judge
    texts: AbstractSet[str]

    def __call__(self, piece: Any) -> Cooked | RowsRefused:
        """What cannot even be split into rows is given back as its refusal."""
        try:
            block, markets = self._of_market(self.source.block(piece, self.texts))
        except RowsRefused as error:
            return error
        columns = self.source.columns
        stamp = block.frame[columns.timestamp]
        time = None if columns.time is None else block.frame[columns.time]
        absent = broken_rows(block.places, [("has no time", broken_moments(stamp, time))])
        cooked = Cooked(
            places=block.places,
            stamps=pl.DataFrame(
                {STAMP: stamp, LINE: block.places.numbers} | ({} if time is None else {TIME: time})
            ),
            values=block.frame,
            look=Look() if absent or not len(stamp) else look_at(stamp, time),
            markets=markets,
        )
        return self._with_values(cooked, tuple(absent))

    def _of_market(self, block: Block) -> tuple[Block, tuple[str, ...]]:
        name = self.source.columns.market
        if name is None:
            return block, ()
        column = block.frame[name].cast(pl.String)
        absent = column.is_null().to_numpy()
        if broken := broken_rows(block.places, [(f"has no market in column {name!r}", absent)]):
            raise RowsRefused(broken)
        markets = tuple(column.unique(maintain_order=True).to_list())
        picked = self.options.market
        if picked is None:
            return block, markets
        kept = (column == picked).to_numpy()
        return Block(block.frame.filter(kept), block.places.where(kept)), markets

    def _with_values(self, cooked: Cooked, absent: tuple[Broken, ...]) -> Cooked:
        names = {theirs: ours for ours, theirs in self.source.columns.values}
        numbering = None
        if names.get(UNNAMED) == UNNAMED:
            del names[UNNAMED]
            numbering = _numbering(cooked.values[UNNAMED])
        judged = self.judge.judged(cooked.values[[*names]], cooked.places, self.texts)
        values = judged.frame.rename(names)
        if self.kind is Kind.OHLCV:
            values = _bars_first(values)
        unread = (*judged.broken, *absent)
        rules = [] if unread else self._broken(values)
        return replace(
            cooked,
            values=values,
            seen=judged.seen,
            numbering=numbering,
            unread=unread,
            wrong=tuple(broken_rows(cooked.places, rules)),
        )

    def _broken(self, values: pl.DataFrame) -> Any:
        return broken_bars(values) if self.kind is Kind.OHLCV else broken_numbers(values)


def _bars_first(values: pl.DataFrame) -> pl.DataFrame:
    if "volume" not in values.columns:
        values = values.with_columns(pl.lit(None, pl.Float64).alias("volume"))
    others = [name for name in values.columns if name not in BARS]
    return values[[*BARS, *others]]


def _numbering(series: pl.Series) -> Numbering | None:
    if not len(series):
        return None
    numbers = series.cast(pl.Float64, strict=False).fill_null(np.nan).to_numpy()
    if not bool((np.diff(numbers) == 1).all()) or not float(numbers[0]).is_integer():
        return Numbering(None, None)
    return Numbering(int(numbers[0]), int(numbers[-1]))
