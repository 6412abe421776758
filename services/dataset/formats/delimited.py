"""Text files with a line per row: TSSB market history and databases, CSV with a header."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Final

import polars as pl

from services.dataset.formats.columns import BARS, columns_of
from services.dataset.formats.options import Format, Kind, Options
from services.dataset.formats.raw import Raw
from services.dataset.formats.refusal import Places, named, refused
from services.dataset.formats.text import Text, text_of

_VALUE: Final = re.compile(r"[+-]?[0-9][0-9.,:/ T+-]*(e[+-]?[0-9]+|Z)?", re.IGNORECASE)
_COMPACT_DATE: Final = re.compile(r"\d{8}")
_TSSB: Final[Mapping[int, tuple[str, ...]]] = {6: ("Date", *BARS), 7: ("Date", "Time", *BARS)}
_TSSB_LONGEST: Final = 15
_SAMPLE_ROWS: Final = 1000


def read_text(content: bytes, kind: Kind, options: Options) -> Raw:
    text = text_of(content, options)
    first = text.first_fields()
    if _VALUE.fullmatch(next(filter(None, first), "")):  # no name begins like a date or number
        return _without_header(text, first, kind, options)
    if options.format is Format.TSSB_MARKET:
        raise refused(f"is no TSSB market history, which has no header: it begins {named(first)}")
    return _with_header(text, tuple(first), kind, options)


def _without_header(text: Text, first: Sequence[str], kind: Kind, options: Options) -> Raw:
    fits = len(first) in _TSSB and _COMPACT_DATE.fullmatch(first[0]) is not None
    if (
        kind is Kind.INDICATORS
        or not fits
        or options.format not in (Format.AUTO, Format.TSSB_MARKET)
    ):
        raise refused(
            "has no header with column names; only TSSB market history has none "
            "(YYYYMMDD [HHMM or HHMMSS] open high low close volume), "
            f"and the first line of this file is {named(first)}"
        )
    names = _TSSB[len(first)]
    columns = columns_of(names, kind, options)
    note = f"TSSB market history: no header, {len(first)} fields, the first a date as YYYYMMDD."
    frame = _frame(text, names, columns.texts, header=0)
    notes = (note, *text.notes)
    return Raw(
        frame=frame, places=text.places, columns=columns, format=Format.TSSB_MARKET, notes=notes
    )


def _with_header(text: Text, names: tuple[str, ...], kind: Kind, options: Options) -> Raw:
    columns = columns_of(names, kind, options)
    places = Places(text.places.noun, text.places.numbers[1:])
    if not len(places.numbers):
        raise refused("has a header, but no rows")
    frame = _frame(text, names, columns.texts | set(options.text_columns), header=1)
    format_, why = _format_of(frame, kind, options)
    notes = (why, *text.notes, *columns.notes)
    return Raw(frame=frame, places=places, columns=columns, format=format_, notes=notes)


def _format_of(frame: pl.DataFrame, kind: Kind, options: Options) -> tuple[Format, str]:
    """TSSB databases and CSV are read alike; the label tells what the file looks like."""
    date = frame.columns[0]
    is_tssb = date.lower() == "date" and frame[date].dtype == pl.String
    is_tssb = is_tssb and bool(frame[date].str.contains(r"^\d{8}$").all())
    if options.format is Format.TSSB_DATABASE:
        if not is_tssb:
            raise refused("is no TSSB database: its first column is not Date as YYYYMMDD")
        return Format.TSSB_DATABASE, "TSSB database, as given."
    if options.format is Format.CSV:
        return Format.CSV, "CSV with a header, as given."
    short = all(len(name) <= _TSSB_LONGEST for name in frame.columns)
    if kind is Kind.INDICATORS and is_tssb and short:
        return Format.TSSB_DATABASE, "TSSB database: the header begins with Date, as YYYYMMDD."
    return Format.CSV, "CSV: the first line has column names."


def _frame(
    text: Text, names: Sequence[str], texts: AbstractSet[str], *, header: int
) -> pl.DataFrame:
    """Columns that hold numbers as Float64 where every field is one, all else as stripped text.

    The typed read is the fast path; whatever it cannot take is read as text, so that what is
    wrong can be told by line.
    """
    strings = dict.fromkeys(map(str, range(len(names))), pl.String)
    sample = _read(text, strings, header, _SAMPLE_ROWS)
    numeric = sample.select(pl.all().cast(pl.Float64, strict=False).is_not_null().any()).row(0)
    types: dict[str, type[pl.DataType]] = {
        str(place): pl.Float64 if is_number and name not in texts else pl.String
        for place, (name, is_number) in enumerate(zip(names, numeric, strict=True))
    }
    try:
        frame = _read(text, types, header)
    except pl.exceptions.PolarsError:
        frame = _read(text, strings, header)
    if len(frame) != len(text.places.numbers) - header:
        raise refused("cannot be split into rows")
    stripped = pl.col(pl.String).str.strip_chars()
    full = pl.when(stripped != "").then(stripped)
    return frame.with_columns(full.name.keep()).rename(dict(zip(frame.columns, names, strict=True)))


def _read(
    text: Text, types: Mapping[str, type[pl.DataType]], header: int, rows: int | None = None
) -> pl.DataFrame:
    return pl.read_csv(
        text.data,
        has_header=False,
        skip_lines=header,
        schema=dict(types),
        separator=text.separator,
        quote_char='"' if b'"' in text.data else None,
        n_rows=rows,
    )
