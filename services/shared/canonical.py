"""The content hash of tables: what two copies of the same rows have in common, wherever they lie.

SHA-256 over the SHA-256s of blocks of 65,536 rows in canonical form. A block is
column after column: times as int64, other numbers as float64, little-endian, -0
as 0, null and NaN as the quiet NaN; text as int32 length and UTF-8 bytes, null as
length -1. The hash of a table is that of the compact JSON of [[name, type], ...],
the block hashes, and the row count as int64.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

BLOCK_ROWS: Final = 65_536
_QUIET_NAN: Final = np.uint64(0x7FF8000000000000)


class ColumnType(StrEnum):
    TIME = "int64"
    NUMBER = "float64"
    TEXT = "text"


@dataclass(frozen=True, kw_only=True)
class TableHash:
    columns: tuple[tuple[str, ColumnType], ...]
    block_hashes: tuple[bytes, ...]
    rows: int

    @property
    def digest(self) -> bytes:
        names = [[name, kind.value] for name, kind in self.columns]
        head = json.dumps(names, ensure_ascii=False, separators=(",", ":")).encode()
        count = self.rows.to_bytes(8, "little", signed=True)
        return hashlib.sha256(b"".join((head, *self.block_hashes, count))).digest()

    @property
    def whole_blocks(self) -> tuple[bytes, ...]:
        """What further rows cannot change; hashing them starts at row len(this) * BLOCK_ROWS."""
        return self.block_hashes[: self.rows // BLOCK_ROWS]


def content_hash(*tables: TableHash) -> str:
    """Of a dataset's version, in hex: its ohlcv, then its indicators."""
    return hashlib.sha256(b"".join(table.digest for table in tables)).hexdigest()


def column_types(schema: pa.Schema) -> tuple[tuple[str, ColumnType], ...]:
    """As the schema orders them. Integers named `…_ms` are times, all others are numbers."""
    return tuple((field.name, _column_type(field)) for field in schema)


def _column_type(field: pa.Field) -> ColumnType:
    kind = field.type
    if pa.types.is_int64(kind) and field.name.endswith("_ms"):
        return ColumnType.TIME
    if pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind):
        return ColumnType.NUMBER
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return ColumnType.TEXT
    raise ValueError(f"Column {field.name!r} of type {kind} has no canonical form.")


class TableHasher:
    """The hash of rows that come in batches of any size, in order.

    Batches may have further columns, which do not count. `kept` are the whole
    blocks before the first row that comes. Holds one block of rows.
    """

    def __init__(
        self, columns: Sequence[tuple[str, ColumnType]], *, kept: Sequence[bytes] = ()
    ) -> None:
        self._columns = tuple(columns)
        self._hashes = list(kept)
        self._open: list[pa.RecordBatch] = []
        self._open_rows = 0

    def update(self, batch: pa.RecordBatch) -> None:
        wanted = batch.select([name for name, _ in self._columns])
        start = 0
        while start < wanted.num_rows:
            taken = wanted.slice(start, BLOCK_ROWS - self._open_rows)
            self._open.append(taken)
            self._open_rows += taken.num_rows
            start += taken.num_rows
            if self._open_rows == BLOCK_ROWS:
                self._close_block()

    def finish(self) -> TableHash:
        rows = len(self._hashes) * BLOCK_ROWS + self._open_rows
        if self._open_rows:
            self._close_block()
        return TableHash(columns=self._columns, block_hashes=tuple(self._hashes), rows=rows)

    def _close_block(self) -> None:
        self._hashes.append(block_hash(self._open, self._columns))
        self._open, self._open_rows = [], 0


def block_hash(
    batches: Sequence[pa.RecordBatch], columns: Sequence[tuple[str, ColumnType]]
) -> bytes:
    """Of the rows of one block."""
    block = hashlib.sha256()
    add_columns(block, batches, columns)
    return block.digest()


def add_columns(
    block: hashlib._Hash,
    batches: Sequence[pa.RecordBatch],
    columns: Sequence[tuple[str, ColumnType]],
) -> None:
    """The next columns of a block, for whoever does not hold all of them at once."""
    for name, kind in columns:
        for column in _joined([batch.column(name) for batch in batches], kind):
            block.update(_canonical(column, kind).data)


def _joined(columns: list[pa.Array], kind: ColumnType) -> list[pa.Array]:
    """Many small arrays cost more than one; texts together may be too long for one."""
    apart = kind is ColumnType.TEXT or len(columns) < 2
    return columns if apart else [pa.concat_arrays(columns)]


def _canonical(column: pa.Array, kind: ColumnType) -> NDArray[np.uint8]:
    if kind is ColumnType.TEXT:
        return _text(column)
    return (_times(column) if kind is ColumnType.TIME else _numbers(column)).view(np.uint8)


def _times(column: pa.Array) -> NDArray[np.int64]:
    if column.null_count:
        raise ValueError("A time is null: times have no canonical form for it.")
    times: NDArray[np.int64] = column.cast(pa.int64()).to_numpy()
    return np.ascontiguousarray(times, dtype="<i8")


def _numbers(column: pa.Array) -> NDArray[np.float64]:
    filled = column.cast(pa.float64(), safe=False)
    if filled.null_count:
        filled = filled.fill_null(np.nan)
    with np.errstate(over="ignore", invalid="ignore"):
        values: NDArray[np.float64] = filled.to_numpy() + 0.0  # -0 becomes 0
        has_nan = bool(np.isnan(values.sum()))  # or infinities of both signs
    values = values.astype("<f8", copy=False)
    if has_nan:
        values.view("<u8")[np.isnan(values)] = _QUIET_NAN
    return values


def _text(column: pa.Array) -> NDArray[np.uint8]:
    """Lengths and bytes interleaved: first where each length goes, then everything else."""
    filled = column.cast(pa.large_string()).fill_null("")
    lengths = pc.binary_length(filled).to_numpy().astype("<i4")
    starts = np.cumsum(lengths, dtype=np.int64) - lengths + 4 * np.arange(len(lengths))
    places = (starts[:, np.newaxis] + np.arange(4)).ravel()
    block = np.empty(int(lengths.sum(dtype=np.int64)) + 4 * len(lengths), np.uint8)
    is_text = np.ones(len(block), np.bool_)
    is_text[places] = False
    block[is_text] = _bytes_of(filled)
    lengths[column.is_null().to_numpy(zero_copy_only=False)] = -1
    block[places] = lengths.view(np.uint8)
    return block


def _bytes_of(column: pa.Array) -> NDArray[np.uint8]:
    _, offsets, data = column.buffers()
    ends = np.frombuffer(offsets, "<i8")[column.offset : column.offset + len(column) + 1]
    if data is None or len(ends) == 0:
        return np.empty(0, np.uint8)
    return np.frombuffer(data, np.uint8)[ends[0] : ends[-1]]
