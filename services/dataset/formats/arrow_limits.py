"""How large the compressed buffers of an Arrow stream become, known before any is inflated.

pyarrow allocates whatever a message claims. The claim is the first eight bytes of each
compressed buffer; where these stand is in the message's flatbuffer (Arrow format, Message.fbs),
of which this reads the few fields it needs.
"""

from __future__ import annotations

import struct
from typing import Final

import pyarrow as pa

from services.dataset.formats.refusal import refused
from services.shared.errors import TooLarge

_MESSAGE_HEADER: Final = 2
_DICTIONARY_DATA: Final = 1
_BATCH_BUFFERS, _BATCH_COMPRESSION = 2, 3


def check_expansion(stream: pa.Buffer, max_bytes: int) -> int:
    """The number of record batches. Raises TooLarge when they claim more than `max_bytes`."""
    total, batches = 0, 0
    for message in pa.ipc.MessageReader.open_stream(stream):
        if message.type == "schema":
            continue
        batches += message.type == "record batch"
        try:
            total += _expanded(message)
        except (struct.error, IndexError):
            raise refused("is damaged: an Arrow message points outside itself") from None
        if total > max_bytes:
            raise TooLarge(f"The file expands to more than {max_bytes} bytes: no more are taken.")
    return batches


def _expanded(message: pa.Message) -> int:
    meta, body = memoryview(message.metadata), message.body
    root = _follow(meta, 0)
    batch = _follow(meta, _field(meta, root, _MESSAGE_HEADER))
    if message.type == "dictionary":
        batch = _follow(meta, _field(meta, batch, _DICTIONARY_DATA))
    if body is None or not _field(meta, batch, _BATCH_COMPRESSION):
        return 0
    data = memoryview(body)
    vector = _follow(meta, _field(meta, batch, _BATCH_BUFFERS))
    (count,) = struct.unpack_from("<I", meta, vector)
    total = 0
    for place in range(count):
        offset, length = struct.unpack_from("<qq", meta, vector + 4 + 16 * place)
        if length > 0:
            (claim,) = struct.unpack_from("<q", data, offset)
            total += max(claim, length)
    return total


def _follow(meta: memoryview, place: int) -> int:
    return int(place + struct.unpack_from("<I", meta, place)[0])


def _field(meta: memoryview, table: int, number: int) -> int:
    """The place of a table's field, 0 when it is absent."""
    vtable = table - struct.unpack_from("<i", meta, table)[0]
    (size,) = struct.unpack_from("<H", meta, vtable)
    slot = 4 + 2 * number
    offset = struct.unpack_from("<H", meta, vtable + slot)[0] if slot < size else 0
    return int(table + offset) if offset else 0
