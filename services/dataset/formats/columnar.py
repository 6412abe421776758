"""Parquet and Arrow IPC (file, stream, Feather): fully validated, bounded before it expands."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from collections.abc import Set as AbstractSet
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from services.dataset.formats.arrow_limits import check_expansion
from services.dataset.formats.columns import UNNAMED, Columns, columns_of
from services.dataset.formats.content import Content
from services.dataset.formats.decimals import POINT, Decimals
from services.dataset.formats.options import Format, Kind, Options
from services.dataset.formats.raw import Block, block_bytes
from services.dataset.formats.refusal import Places, named, refused
from services.shared.errors import TooLarge

PARQUET: Final = b"PAR1"
ARROW_FILE: Final = b"ARROW1"
ARROW_STREAM: Final = b"\xff\xff\xff\xff"
_PANDAS_INDEX: Final = "__index_level_0__"
_SAMPLE_ROWS: Final = 1000


@dataclass(frozen=True, kw_only=True)
class ColumnarSource:
    """`open` gives the batches of the file from its start."""

    format: Format
    why: str
    open: Callable[[], Iterator[pa.RecordBatch]]
    names: tuple[str, ...]
    columns: Columns
    text_columns: AbstractSet[str]
    options: Options

    @property
    def notes(self) -> tuple[str, ...]:
        return self.columns.notes

    @property
    def used(self) -> Options:
        return self.options

    @property
    def no_zone(self) -> str | None:
        return None

    @property
    def decimals(self) -> Decimals:
        return POINT

    def label(self, *, dates_only_digits: bool) -> tuple[Format, str]:
        return self.format, self.why

    @property
    def sample(self) -> Block:
        first = next(self.pieces())
        return self.block(Slice(first.batch.slice(0, _SAMPLE_ROWS), 0), frozenset())

    def pieces(self) -> Iterator[Slice]:
        row, expanded, rows = 0, 0, _rows_at_once(len(self.names))
        with _damage_refused(self.format):
            for batch in self.open():
                batch.validate(full=True)
                expanded += _text_bytes(batch)
                _must_fit(expanded, self.options)
                for start in range(0, batch.num_rows, rows):
                    yield Slice(batch.slice(start, rows), row + start)
                row += batch.num_rows
        if row == 0:
            raise refused("has columns, but no rows")

    def block(self, piece: Slice, texts: AbstractSet[str]) -> Block:
        columns = piece.batch.columns
        series = {
            name: _series(name, column, self.columns)
            for name, column in zip(self.names, columns, strict=True)
        }
        numbers = np.arange(piece.row + 1, piece.row + 1 + piece.batch.num_rows)
        return Block(pl.DataFrame(series), Places("row", numbers))


def _rows_at_once(columns: int) -> int:
    return max(1, block_bytes(columns) // (8 * max(1, columns)))


class Slice(NamedTuple):
    """Rows of a batch, and how many are before them in the file."""

    batch: pa.RecordBatch
    row: int


def parquet_source(content: Content, kind: Kind, options: Options) -> ColumnarSource:
    with _damage_refused(Format.PARQUET):
        schema = pq.read_schema(content.path)
        texts = [field.name for field in schema if _is_text(field.type)]

        meta = pq.read_metadata(content.path)
        groups = range(meta.num_row_groups)
        declared = meta.num_rows * max(1, meta.num_columns) * 8
        stored = sum(meta.row_group(group).total_byte_size for group in groups)
        _must_fit(max(declared, stored), options)

    rows = _rows_at_once(meta.num_columns)

    def batches() -> Iterator[pa.RecordBatch]:
        for group in groups:  # a reader keeps the texts of all groups it has read
            file = pq.ParquetFile(
                content.path,
                metadata=meta,
                memory_map=True,
                read_dictionary=texts,
                page_checksum_verification=True,
            )
            yield from file.iter_batches(rows, row_groups=[group], use_threads=False)
            pa.default_memory_pool().release_unused()

    why = "Parquet, by its first bytes."
    return _source(Format.PARQUET, why, batches, schema, kind, options)


def arrow_source(content: Content, kind: Kind, options: Options) -> ColumnarSource:
    is_file = content.data[: len(ARROW_FILE)] == ARROW_FILE
    with _damage_refused(Format.ARROW):
        whole = pa.memory_map(str(content.path)).read_buffer()
        if is_file and content.data[-len(ARROW_FILE) :] != ARROW_FILE:
            raise refused("is cut off: its Arrow data has no end")
        # A file is a stream between two magic words: one way to read, one to bound.
        stream = whole[8 if is_file else 0 :]
        batches = check_expansion(stream, options.max_bytes)
        if is_file and pa.ipc.open_file(whole).num_record_batches != batches:
            raise refused("is damaged: its Arrow footer does not fit its batches")
        schema = pa.ipc.open_stream(stream).schema

    def opened() -> Iterator[pa.RecordBatch]:
        return iter(pa.ipc.open_stream(stream))

    why = f"Arrow IPC {'file' if is_file else 'stream'}, by its first bytes."
    return _source(Format.ARROW, why, opened, schema, kind, options)


@contextmanager
def _damage_refused(what: Format) -> Iterator[None]:
    try:
        yield
    except (pa.ArrowException, OSError, ValueError, MemoryError, OverflowError) as error:
        name = what.value.capitalize()
        raise refused(f"cannot be read as {name}: it is damaged or cut off") from error


def _must_fit(size: int, options: Options) -> None:
    if size > options.max_bytes:
        raise TooLarge(f"The file expands to {size} bytes; at most {options.max_bytes} are taken.")


def _source(
    format_: Format,
    why: str,
    opened: Callable[[], Iterator[pa.RecordBatch]],
    schema: pa.Schema,
    kind: Kind,
    options: Options,
) -> ColumnarSource:
    with _damage_refused(format_):  # a name may be no UTF-8
        names = tuple(UNNAMED if name == _PANDAS_INDEX else name.strip() for name in schema.names)
    if len(set(names)) != len(names):
        raise refused(f"has columns of the same name among {named(names)}")
    types = dict(zip(names, schema.types, strict=True))
    moments = [name for name, type_ in types.items() if pa.types.is_temporal(type_)]
    columns = columns_of(names, kind, options, moments=moments)
    texts = {theirs for _, theirs in columns.values if theirs and _is_text(types[theirs])}
    return ColumnarSource(
        format=format_,
        why=why,
        open=opened,
        names=names,
        columns=columns,
        text_columns=texts | {*options.text_columns},
        options=options,
    )


def _series(name: str, column: pa.Array, columns: Columns) -> pl.Series:
    types = pa.types
    is_moment = types.is_timestamp(column.type) or types.is_date(column.type)
    is_plain = types.is_integer(column.type) or types.is_floating(column.type)
    try:
        if _is_text(column.type):
            return _stripped(_polars(column.cast(pa.large_string()))).alias(name)
        if name in columns.texts and (is_moment or is_plain):
            return _polars(column).alias(name)
        if name not in columns.texts and _is_number(column.type):
            return _polars(_float64(name, column)).alias(name)
    except (pa.ArrowException, pl.exceptions.PolarsError):
        pass  # a type beyond what both libraries know: as foreign as a list
    raise refused(f"has the type {column.type} in column {name!r}, which is no number and no text")


def _polars(column: pa.Array) -> pl.Series:
    series = pl.from_arrow(column)
    assert isinstance(series, pl.Series)
    return series


def _stripped(texts: pl.Series) -> pl.Series:
    """As text files have it: no blanks around, and nothing else is nothing."""
    stripped = texts.str.strip_chars()
    return stripped.set(stripped == "", None)


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


def _float64(name: str, column: pa.Array) -> pa.Array:
    try:
        return column.cast(pa.float64())
    except pa.ArrowInvalid:
        raise refused(f"has integers in column {name!r} that float64 cannot hold exactly") from None


def _text_bytes(batch: pa.RecordBatch) -> int:
    """How long texts become when each row has its own: one may stand for many."""
    total = 0
    for column in batch.columns:
        if pa.types.is_dictionary(column.type) and _is_text(column.type):
            lengths = pc.take(pc.binary_length(column.dictionary), column.indices)
            total += pc.sum(lengths).as_py() or 0
        elif _is_text(column.type):
            total += pc.sum(pc.binary_length(column.cast(pa.large_string()))).as_py() or 0
    return total
