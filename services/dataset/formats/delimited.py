"""Text files with a line per row, with a header or of a layout known by its shape."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Final

import numpy as np
import polars as pl

from services.dataset.formats.columns import Columns, columns_of
from services.dataset.formats.content import Content
from services.dataset.formats.decimals import Decimals, decimals_of
from services.dataset.formats.layouts import NO_ZONE, Layout, layout_of
from services.dataset.formats.numbers import rounded
from services.dataset.formats.options import Format, Kind, Options
from services.dataset.formats.raw import Block
from services.dataset.formats.refusal import Places, RowsRefused, refuse_rows, refused
from services.dataset.formats.text import Lines, Piece, TextFile, text_file

_TSSB_LONGEST: Final = 15
_EXACT: Final = 2.0**53


@dataclass(frozen=True, kw_only=True)
class TextSource:
    text: TextFile
    layout: Layout
    columns: Columns
    kind: Kind
    options: Options

    @property
    def notes(self) -> tuple[str, ...]:
        return (*self.text.notes, *self.columns.notes, *self.decimals.notes)

    @property
    def used(self) -> Options:
        return replace(self.options, separator=self.text.separator, decimal=self.decimals.mark)

    @property
    def no_zone(self) -> str | None:
        return NO_ZONE.get(self.layout.format)

    @cached_property
    def decimals(self) -> Decimals:
        values = [theirs for _, theirs in self.columns.values]
        words = [name for name in values if name not in self.text_columns]
        frame = self.sample.frame
        by_people = self.text.separator == ";" and self.layout.format is not Format.HISTDATA
        return decimals_of(
            frame.select(words), self.text.separator, self.options, by_people=by_people
        )

    @property
    def text_columns(self) -> AbstractSet[str]:
        return frozenset(self.options.text_columns)

    def label(self, *, dates_only_digits: bool) -> tuple[Format, str]:
        """TSSB databases and CSV are read alike; the label tells what the file looks like."""
        if self.layout.format is not Format.CSV or self.options.format is Format.CSV:
            return self.layout.format, self.layout.why
        names = self.layout.names
        is_tssb = names[0].lower() == "date" and dates_only_digits
        is_tssb = is_tssb and self.columns.timestamp == names[0]
        if self.options.format is Format.TSSB_DATABASE:
            if not is_tssb:
                raise refused("is no TSSB database: its first column is not Date as YYYYMMDD")
            return Format.TSSB_DATABASE, "TSSB database, as given."
        short = all(len(name) <= _TSSB_LONGEST for name in names)
        if self.kind is Kind.INDICATORS and is_tssb and short:
            return Format.TSSB_DATABASE, "TSSB database: the header begins with Date, as YYYYMMDD."
        return self.layout.format, self.layout.why

    @cached_property
    def sample(self) -> Block:
        """Without rows when the first lines are broken: reading them all will tell."""
        piece = self.text.sample(header=self.layout.has_header)
        try:
            return self.block(piece, frozenset(self.layout.names))
        except RowsRefused:
            return Block(
                pl.DataFrame(schema=dict.fromkeys(self.layout.names, pl.String)),
                Places("line", np.arange(0)),
            )

    def pieces(self) -> Iterator[Piece]:
        return self.text.pieces(header=self.layout.has_header)

    def block(self, piece: Piece, texts: AbstractSet[str]) -> Block:
        types = {str(i): self._type(name, texts) for i, name in enumerate(self.layout.names)}
        lines = self.text.plain_lines(piece)
        frame = None if lines is None else self._read_plain(lines, types)
        if lines is None or frame is None:
            lines = self.text.lines(piece)
            if lines.data and not self.text.is_even(lines):
                lines = self.text.evened(lines)
            frame = self._split(lines, types)
        self._refuse_rounded(frame, lines)
        frame = _as_typed(_stripped(frame.rechunk()), types)
        return Block(frame.rename(dict(zip(types, self.layout.names, strict=True))), lines.places)

    def _type(self, name: str, texts: AbstractSet[str]) -> type[pl.DataType]:
        if name in texts or name == self.columns.market or self._is_written(name):
            return pl.String
        if name in self.columns.times:
            return pl.Int64 if self.has_whole_times else pl.String
        return pl.Float64

    @cached_property
    def has_whole_times(self) -> bool:
        """Whether the first rows count their time, or write dates as digits."""
        stamp = self.sample.frame[self.columns.timestamp]
        whole = stamp.cast(pl.Int64, strict=False)
        return self.columns.time is None and bool(len(stamp)) and not whole.has_nulls()

    def _read_plain(
        self, lines: Lines, types: Mapping[str, type[pl.DataType]]
    ) -> pl.DataFrame | None:
        """The fast path; None where something is wrong, which `_split` tells by line."""
        try:
            frame = self._read(lines, types)
        except pl.exceptions.PolarsError:
            return None
        return frame if len(frame) == len(lines.places.numbers) else None

    def _split(self, lines: Lines, types: Mapping[str, type[pl.DataType]]) -> pl.DataFrame:
        """Whatever the typed read cannot take is read as text."""
        strings = dict.fromkeys(types, pl.String)
        if not lines.data:
            return pl.DataFrame(schema=strings)
        try:
            frame = self._read(lines, types)
        except pl.exceptions.PolarsError:
            frame = self._read_broken(self.text.evened(lines), strings)
        if len(frame) != len(lines.places.numbers):
            raise refused("cannot be split into rows")
        return frame

    def _refuse_rounded(self, frame: pl.DataFrame, lines: Lines) -> None:
        """Looks at the texts again where a number is so large."""
        names = dict(zip(frame.columns, self.layout.names, strict=True))
        values = {theirs for _, theirs in self.columns.values}
        large = [series.name for series in frame if _is_large(series)]
        if large := [place for place in large if names[place] in values]:
            texts = self._read(lines, dict.fromkeys(frame.columns, pl.String)).select(large)
            texts = texts.rename(names, strict=False).with_columns(pl.all().str.strip_chars())
            refuse_rows(lines.places, [rule for text in texts for rule in rounded(text)])

    def _is_written(self, name: str) -> bool:
        """Not as programs write numbers."""
        return self.decimals.mark == "," or name in self.decimals.grouped

    def _read_broken(self, lines: Lines, strings: Mapping[str, type[pl.DataType]]) -> pl.DataFrame:
        try:
            frame = self._read(lines, strings)
        except pl.exceptions.PolarsError:
            raise refused("cannot be split into rows") from None
        names = self.layout.names
        repeats = [
            frame[place].str.strip_chars() == name
            for place, name in zip(frame.columns, names, strict=True)
        ]
        again = pl.DataFrame(dict(zip(strings, repeats, strict=True))).select(
            pl.all_horizontal(pl.all())
        )
        refuse_rows(
            lines.places, [("repeats the header", again.to_series().fill_null(False).to_numpy())]
        )
        return frame

    def _read(self, lines: Lines, types: Mapping[str, type[pl.DataType]]) -> pl.DataFrame:
        return pl.read_csv(
            lines.data,
            has_header=False,
            schema=dict(types),
            separator=self.text.separator,
            quote_char='"' if b'"' in lines.data else None,
        )


def _is_large(series: pl.Series) -> bool:
    """Whether it holds numbers among which not every integer is there."""
    if series.dtype != pl.Float64:
        return False
    return max(float(series.max() or 0), -float(series.min() or 0)) >= _EXACT  # type: ignore[arg-type]


def _as_typed(frame: pl.DataFrame, types: Mapping[str, type[pl.DataType]]) -> pl.DataFrame:
    """Whole times that were read as text because of something else."""
    for place in (place for place, kind in types.items() if kind == pl.Int64):
        whole = frame[place].cast(pl.Int64, strict=False)
        if whole.null_count() == frame[place].null_count():
            frame = frame.with_columns(whole)
    return frame


def _stripped(frame: pl.DataFrame) -> pl.DataFrame:
    """Texts without blanks around them; nothing else is nothing."""
    if pl.String not in frame.dtypes:
        return frame
    stripped = pl.col(pl.String).str.strip_chars()
    return frame.with_columns(pl.when(stripped != "").then(stripped).name.keep())


def text_source(content: Content, kind: Kind, options: Options) -> TextSource:
    """Raises FileRefused, FileAmbiguous."""
    text = text_file(content.data, options)
    layout = layout_of(text.first, kind, options)
    columns = columns_of(layout.names, kind, options, left_out=layout.left_out)
    if next(text.pieces(header=layout.has_header), None) is None:
        raise refused("has a header, but no rows")
    return TextSource(text=text, layout=layout, columns=columns, kind=kind, options=options)
