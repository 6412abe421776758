"""One file to one checked table: recognise, read, judge. The whole file or nothing."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa

from services.dataset.formats.columnar import (
    ARROW_FILE,
    ARROW_STREAM,
    PARQUET,
    read_arrow,
    read_parquet,
)
from services.dataset.formats.columns import BARS, UNNAMED
from services.dataset.formats.content import content_of
from services.dataset.formats.delimited import read_text
from services.dataset.formats.numbers import numbers_of
from services.dataset.formats.options import Format, Kind, Options, Parsed
from services.dataset.formats.raw import Raw
from services.dataset.formats.refusal import (
    FILE,
    FileRefused,
    Int64s,
    ambiguous,
    named,
    refuse_rows,
    refused,
)
from services.dataset.formats.rules import (
    broken_bars,
    broken_numbers,
    broken_times,
    empty_edges,
    null_counts,
)
from services.dataset.formats.timestamps import instants_of


def read(path: Path, kind: Kind, options: Options) -> Parsed:
    """The file as a table that keeps every rule of DOMAIN §2.

    Raises FileRefused (its subclass FileAmbiguous when an option would help; the violation's
    field then ends in that option's name) and TooLarge for files beyond the limits.
    """
    try:
        return _parsed(path, kind, options)
    except FileRefused as error:
        part = [
            replace(v, field=kind.value if v.field == FILE else f"{kind.value}.{v.field}")
            for v in error.violations
        ]
        raise type(error)(part) from error


def _parsed(path: Path, kind: Kind, options: Options) -> Parsed:
    raw = _one_market(_raw(path, kind, options), options.market)
    values, notes = _values(raw, kind, options)
    time = raw.columns.time
    stamp = raw.frame[raw.columns.timestamp]
    ms, told = instants_of(stamp, None if time is None else raw.frame[time], raw.places, options)
    broken = broken_bars(values) if kind is Kind.OHLCV else broken_numbers(values)
    refuse_rows(raw.places, [*broken_times(ms), *broken])
    head, tail = (0, 0) if kind is Kind.OHLCV else empty_edges(values, raw.places)
    rows = slice(head, len(values) - tail)
    values = values[rows]
    return Parsed(
        table=_table(ms[rows], values),
        format=raw.format,
        notes=(*raw.notes, *told, *notes),
        null_counts=null_counts(values),
        trimmed_head=head,
        trimmed_tail=tail,
    )


def _raw(path: Path, kind: Kind, options: Options) -> Raw:
    """Parquet and Arrow are known by their first bytes; everything else must be text."""
    content, unpacked = content_of(path, options)
    if content.startswith(b"FEA1"):
        raise refused("is Feather version 1: save it as version 2")
    binary = {PARQUET: Format.PARQUET, ARROW_FILE: Format.ARROW, ARROW_STREAM: Format.ARROW}
    found = next((name for magic, name in binary.items() if content.startswith(magic)), None)
    asked = options.format
    if asked is not Format.AUTO and asked is not found and (found or asked in binary.values()):
        raise refused(f"is {asked}, but the file is {found or 'text'}", field="format")
    readers = {Format.PARQUET: read_parquet, Format.ARROW: read_arrow}
    raw = readers.get(found or asked, read_text)(content, kind, options)
    return replace(raw, notes=(*unpacked, *raw.notes))


def _one_market(raw: Raw, picked: str | None) -> Raw:
    name = raw.columns.market
    if name is None:
        if picked is not None:
            raise refused(f"is {picked!r}, but the file has no market column", field="market")
        return raw
    column = raw.frame[name].cast(pl.String)
    if column.has_nulls():
        where = raw.places.of(column.is_null().to_numpy())
        raise refused(f"has no market in column {name!r} {where}")
    markets = column.unique(maintain_order=True).to_list()
    if picked is None and len(markets) > 1:
        raise ambiguous(f"is missing: the file holds the markets {named(markets)}", option="market")
    if picked is not None and picked not in markets:
        raise refused(f"is {picked!r}, but the file holds {named(markets)}", field="market")
    kept = (column == (picked or markets[0])).to_numpy()
    note = f"Column {name!r} holds the market {picked or markets[0]!r} ({kept.sum()} rows)."
    return replace(
        raw,
        frame=raw.frame.filter(pl.Series(kept)),
        places=raw.places.where(kept),
        notes=(*raw.notes, note),
    )


def _values(raw: Raw, kind: Kind, options: Options) -> tuple[pl.DataFrame, tuple[str, ...]]:
    """The columns under our names, as Float64 or String: bars first, then what else there is."""
    notes: list[str] = []
    columns: dict[str, pl.Series] = {}
    for ours, theirs in raw.columns.values:
        series = raw.frame[theirs]
        if theirs == UNNAMED and ours == UNNAMED:
            notes.append(_row_numbers_left_out(series))
            continue
        must = kind is Kind.OHLCV and ours in BARS
        text = theirs in options.text_columns
        columns[ours] = numbers_of(series, raw.places, must=must, text=text).alias(ours)
    if not columns:
        raise refused("has no columns besides the time")
    if kind is Kind.OHLCV:
        if "volume" not in columns:
            columns["volume"] = pl.Series("volume", [None], pl.Float64).new_from_index(
                0, len(raw.frame)
            )
        if columns["volume"].null_count() == len(raw.frame):
            notes.append("There is no volume: it is null in every row.")
        columns = {name: columns.pop(name) for name in BARS} | columns
    texts = [name for name, series in columns.items() if series.dtype == pl.String]
    if texts:
        notes.append(f"Columns of text: {named(texts)}.")
    return pl.DataFrame(columns), tuple(notes)


def _row_numbers_left_out(series: pl.Series) -> str:
    numbers = series.cast(pl.Float64, strict=False).fill_null(np.nan).to_numpy()
    if not np.array_equal(numbers, np.arange(len(numbers)) + (numbers[0] == 1)):
        raise refused("has a column without a name that does not number the rows")
    return "The column without a name numbers the rows and was left out."


def _table(ms: Int64s, values: pl.DataFrame) -> pa.Table:
    """Chunked as little as can be; text as plain strings."""
    columns = {"timestamp_ms": pa.array(ms)}
    for series in values:
        array = series.to_arrow()
        columns[series.name] = array if series.dtype == pl.Float64 else array.cast(pa.string())
    return pa.table(columns)
