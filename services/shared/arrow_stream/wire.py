"""One response message on the wire: `bytes ipc = 1; reserved 15;`, written and read by hand.

It stays plain protobuf. Field 15 pads what comes before the payload to 16 bytes,
so that columns lie on 8-byte borders in the receiver's memory and are used in
place; a standard parser skips it as unknown.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

import pyarrow as pa

from services.shared.errors import DataLoss

HEADER_BYTES: Final = 16
_IPC_TAG: Final = 1 << 3 | 2
_PADDING_TAG: Final = 15 << 3 | 2
_VARINT, _FIXED64, _LENGTH, _FIXED32 = 0, 1, 2, 5


class MalformedStream(DataLoss):
    """What arrived is not an Arrow stream, or not the one that was promised."""

    reason = "MALFORMED_ARROW_STREAM"


def frame(*ipc: bytes | memoryview | pa.Buffer, size: int | None = None) -> bytes:
    """The wire form of a message whose field 1 is `ipc`, in one or more parts of `size` bytes."""
    if size is None:
        size = sum(memoryview(part).nbytes for part in ipc)
    return b"".join((_header(size), *ipc))


@lru_cache(maxsize=64)
def _header(size: int) -> bytes:
    length = _varint(size)
    padding = HEADER_BYTES - 3 - len(length)
    return bytes((_PADDING_TAG, padding)) + bytes(padding) + bytes((_IPC_TAG,)) + length


def payload(raw: bytes) -> memoryview:
    """Field 1 of a message in wire form, in place. As in every parser, the last one counts."""
    view = memoryview(raw)
    size = len(raw) - HEADER_BYTES
    if size > 0 and raw.startswith(_header(size)):  # as `frame` writes it
        return view[HEADER_BYTES:]
    found = view[:0]
    position = 0
    try:
        while position < len(raw):
            tag, position = _read_varint(raw, position)
            start, position = _skip(raw, position, tag & 7)
            if tag == _IPC_TAG:
                found = view[start:position]
    except IndexError:
        position = len(raw) + 1
    if position > len(raw):
        raise MalformedStream("A message of the Arrow stream ends inside a field.")
    return found


def _skip(raw: bytes, position: int, wire_type: int) -> tuple[int, int]:
    """Where the field's content starts and ends."""
    if wire_type == _LENGTH:
        size, start = _read_varint(raw, position)
        return start, start + size
    if wire_type == _VARINT:
        return position, _read_varint(raw, position)[1]
    if wire_type in (_FIXED64, _FIXED32):
        return position, position + (8 if wire_type == _FIXED64 else 4)
    raise MalformedStream(f"A message of the Arrow stream has the unknown wire type {wire_type}.")


def _varint(value: int) -> bytes:
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)


def _read_varint(raw: bytes, position: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        byte = raw[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
    raise MalformedStream("A message of the Arrow stream has a number of more than ten bytes.")
