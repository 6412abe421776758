"""Parquet and Arrow IPC (file, stream, Feather): fully validated, bounded before it expands."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from services.dataset.formats.arrow_limits import check_expansion
from services.dataset.formats.columns import UNNAMED, Columns, columns_of
from services.dataset.formats.options import Format, Kind, Options
from services.dataset.formats.raw import Raw
from services.dataset.formats.refusal import Places, named, refused
from services.shared.errors import TooLarge

PARQUET: Final = b"PAR1"
ARROW_FILE: Final = b"ARROW1"
ARROW_STREAM: Final = b"\xff\xff\xff\xff"
_PANDAS_INDEX: Final = "__index_level_0__"


def read_parquet(content: bytes, kind: Kind, options: Options) -> Raw:
    with _damage_refused("Parquet"):
        source = pa.BufferReader(content)
        schema = pq.read_schema(pa.BufferReader(content))
        texts = [field.name for field in schema if _is_text(field.type)]
        file = pq.ParquetFile(source, read_dictionary=texts, page_checksum_verification=True)
        declared = file.metadata.num_rows * max(1, file.metadata.num_columns) * 8
        groups = range(file.metadata.num_row_groups)
        stored = sum(file.metadata.row_group(group).total_byte_size for group in groups)
        _must_fit(max(declared, stored), options)
        table = file.read()
        table.validate(full=True)
    return _raw(table, Format.PARQUET, "Parquet, by its first bytes.", kind, options)


def read_arrow(content: bytes, kind: Kind, options: Options) -> Raw:
    is_file = content.startswith(ARROW_FILE)
    with _damage_refused("Arrow"):
        if is_file and not content.endswith(ARROW_FILE):
            raise refused("is cut off: its Arrow data has no end")
        # A file is a stream between two magic words: one way to read, one to bound.
        stream = pa.py_buffer(content)[8 if is_file else 0 :]
        batches = check_expansion(stream, options.max_bytes)
        if is_file and pa.ipc.open_file(pa.py_buffer(content)).num_record_batches != batches:
            raise refused("is damaged: its Arrow footer does not fit its batches")
        table = pa.ipc.open_stream(stream).read_all()
        table.validate(full=True)
    shape = "file" if is_file else "stream"
    return _raw(table, Format.ARROW, f"Arrow IPC {shape}, by its first bytes.", kind, options)


@contextmanager
def _damage_refused(what: str) -> Iterator[None]:
    try:
        yield
    except (pa.ArrowException, OSError, ValueError, MemoryError, OverflowError) as error:
        raise refused(f"cannot be read as {what}: it is damaged or cut off") from error


def _must_fit(size: int, options: Options) -> None:
    if size > options.max_bytes:
        raise TooLarge(f"The file expands to {size} bytes; at most {options.max_bytes} are taken.")


def _raw(table: pa.Table, format_: Format, why: str, kind: Kind, options: Options) -> Raw:
    names = [UNNAMED if name == _PANDAS_INDEX else name for name in table.column_names]
    table = table.rename_columns(names)
    if len(set(names)) != len(names):
        raise refused(f"has columns of the same name among {named(names)}")
    if table.num_rows == 0:
        raise refused("has columns, but no rows")
    moments = [field.name for field in table.schema if pa.types.is_temporal(field.type)]
    columns = columns_of(names, kind, options, moments=moments)
    frame = pl.DataFrame({n: _series(n, table[n], columns, options) for n in names})
    places = Places("row", np.arange(1, table.num_rows + 1, dtype=np.int64))
    return Raw(
        frame=frame, places=places, columns=columns, format=format_, notes=(why, *columns.notes)
    )


def _series(name: str, column: pa.ChunkedArray, columns: Columns, options: Options) -> pl.Series:
    types = pa.types
    is_moment = types.is_timestamp(column.type) or types.is_date(column.type)
    is_plain = types.is_integer(column.type) or types.is_floating(column.type)
    try:
        if _is_text(column.type):
            return _text(column, options).alias(name)
        if name in columns.texts and (is_moment or is_plain):
            return _polars(column).alias(name)
        if name not in columns.texts and _is_number(column.type):
            return _polars(_float64(name, column)).alias(name)
    except (pa.ArrowException, pl.exceptions.PolarsError):
        pass  # a type beyond what both libraries know: as foreign as a list
    raise refused(f"has the type {column.type} in column {name!r}, which is no number and no text")


def _polars(column: pa.ChunkedArray) -> pl.Series:
    series = pl.from_arrow(column)
    assert isinstance(series, pl.Series)
    return series


def _is_text(type_: Any) -> bool:
    types = pa.types
    if types.is_dictionary(type_):
        type_ = type_.value_type
    return bool(
        types.is_string(type_) or types.is_large_string(type_) or types.is_string_view(type_)
    )


def _is_number(type_: Any) -> bool:
    types = pa.types
    kinds = (types.is_integer, types.is_floating, types.is_decimal, types.is_boolean, types.is_null)
    return any(is_kind(type_) for is_kind in kinds)


def _float64(name: str, column: pa.ChunkedArray) -> pa.ChunkedArray:
    try:
        return column.cast(pa.float64())
    except pa.ArrowInvalid:
        raise refused(f"has integers in column {name!r} that float64 cannot hold exactly") from None


def _text(column: pa.ChunkedArray, options: Options) -> pl.Series:
    """Plain strings, after a look at how long they become: one text may stand for many."""
    if pa.types.is_dictionary(column.type):
        chunks = column.chunks
        lengths = (pc.take(pc.binary_length(c.dictionary), c.indices) for c in chunks)
        _must_fit(sum(pc.sum(length).as_py() or 0 for length in lengths), options)
        column = column.cast(pa.large_string())
    series = _polars(column)
    _must_fit(int(series.str.len_bytes().sum()), options)
    return series
