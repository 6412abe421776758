"""Where one IPC message ends and the next begins, and what it is.

pyarrow reads messages but does not say how long the next one is without all of
its bytes, and it unpacks compressed bodies whatever size they claim. So the few
flatbuffer fields that tell are read here, each bounds-checked.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import IntEnum
from functools import lru_cache
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from services.shared.arrow_stream.wire import MalformedStream
from services.shared.errors import TooLarge

END_OF_STREAM: Final = b"\xff\xff\xff\xff\x00\x00\x00\x00"
_CONTINUATION: Final = b"\xff\xff\xff\xff"
_PREFIX_BYTES: Final = 8
_HEADER_TYPE, _HEADER, _BODY_LENGTH = 1, 2, 3  # fields of Message
_ROWS, _NODES, _BUFFERS, _COMPRESSION = 0, 1, 2, 3  # fields of RecordBatch


class Kind(IntEnum):
    END = 0
    SCHEMA = 1
    DICTIONARY = 2
    BATCH = 3


@dataclass(frozen=True, kw_only=True)
class Envelope:
    kind: Kind
    length: int
    compressed: bool = False
    has_no_nulls: bool = False
    """It says so of all its columns."""


class MessageTooLarge(TooLarge):
    reason = "ARROW_MESSAGE_TOO_LARGE"


def read_envelope(data: memoryview, max_message_bytes: int) -> Envelope | None:
    """What the message at the start of `data` is; None while too little of it is there."""
    if len(data) < _PREFIX_BYTES:
        return None
    if bytes(data[:4]) != _CONTINUATION:
        raise MalformedStream("The Arrow stream has bytes that start no IPC message.")
    (metadata_length,) = struct.unpack_from("<i", data, 4)
    if metadata_length == 0:
        return Envelope(kind=Kind.END, length=_PREFIX_BYTES)
    if metadata_length < 0:
        raise MalformedStream("An IPC message states a negative length.")
    body = _PREFIX_BYTES + metadata_length
    _check_size(body, max_message_bytes)
    if len(data) < body:
        return None
    try:
        envelope = _read_metadata(data[_PREFIX_BYTES:body], body)
    except (struct.error, ValueError):
        raise MalformedStream("The metadata of an IPC message cannot be read.") from None
    _check_size(envelope.length, max_message_bytes)
    return envelope


def _check_size(length: int, limit: int) -> None:
    if length > limit:
        raise MessageTooLarge(f"An IPC message of {length} bytes is over the limit of {limit}.")


def _read_metadata(metadata: memoryview, body_start: int) -> Envelope:
    message = _Table(metadata, _unsigned(metadata, 0))
    kind = Kind(message.scalar(_HEADER_TYPE, "<B"))
    body_length = message.scalar(_BODY_LENGTH, "<q")
    if body_length < 0:
        raise ValueError(body_length)
    length = body_start + body_length
    if kind is not Kind.BATCH:
        return Envelope(kind=kind, length=length)
    batch = message.table(_HEADER)
    return Envelope(
        kind=kind,
        length=length,
        compressed=batch.has(_COMPRESSION),
        has_no_nulls=not batch.has(_NODES) or not batch.pairs(_NODES)[:, 1].any(),
    )


class Layout(NamedTuple):
    """Where the columns of a record batch lie in its message."""

    rows: int
    null_counts: NDArray[np.int64]
    offsets: NDArray[np.int64]
    """Of the buffers, from the start of the message: of a column first its validity, then its
    values, or its offsets and its text."""
    lengths: NDArray[np.int64]


def metadata_end(message: memoryview) -> int:
    """Where the buffers of its columns begin."""
    return _PREFIX_BYTES + int(_read(message, 4, "<i"))


def read_layout(message: memoryview) -> Layout:
    """Of one whole message that was written here; takes a hundredth of reading it."""
    body = metadata_end(message)
    return _layout(bytes(message[_PREFIX_BYTES:body]), body)


@lru_cache(maxsize=64)
def _layout(metadata: bytes, body: int) -> Layout:
    """Messages of one table mostly lie in the same way."""
    batch = _Table(memoryview(metadata), _unsigned(memoryview(metadata), 0)).table(_HEADER)
    nodes, buffers = batch.pairs(_NODES), batch.pairs(_BUFFERS)
    return Layout(batch.scalar(_ROWS, "<q"), nodes[:, 1], body + buffers[:, 0], buffers[:, 1])


class _Table:
    """A flatbuffer table: the offsets of its fields lie in a table of their own before it."""

    def __init__(self, data: memoryview, position: int) -> None:
        self._data = data
        self._position = position
        self._offsets = position - _read(data, position, "<i")
        self._size = _read(data, self._offsets, "<H")

    def has(self, field: int) -> bool:
        return self._offset(field) != 0

    def scalar(self, field: int, form: str) -> int:
        offset = self._offset(field)
        return _read(self._data, self._position + offset, form) if offset else 0

    def table(self, field: int) -> _Table:
        start = self._position + self._offset(field)
        return _Table(self._data, start + _unsigned(self._data, start))

    def pairs(self, field: int) -> NDArray[np.int64]:
        """A vector of structs of two int64, as (n, 2)."""
        start = self._position + self._offset(field)
        start += _unsigned(self._data, start)
        count = _unsigned(self._data, start)
        return np.frombuffer(self._data, "<i8", 2 * count, start + 4).reshape(-1, 2)

    def _offset(self, field: int) -> int:
        slot = 4 + 2 * field
        return _read(self._data, self._offsets + slot, "<H") if slot + 2 <= self._size else 0


def _unsigned(data: memoryview, position: int) -> int:
    return _read(data, position, "<I")


def _read(data: memoryview, position: int, form: str) -> int:
    if position < 0:
        raise ValueError(position)
    value: int = struct.unpack_from(form, data, position)[0]
    return value
