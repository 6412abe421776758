"""Tables as streams of gRPC messages: one Arrow IPC stream in pieces of about 1 MiB.

A server's handler awaits `streams.send(context, encode(schema, pieces))`; a client
reads `read_arrow(channel, method, request)`, large answers with `each_batch`, or
`read_ipc` to hand the bytes on.
"""

from services.shared.arrow_stream.client import read_arrow, read_ipc
from services.shared.arrow_stream.codec import (
    CHUNK_BYTES,
    MAX_MESSAGE_BYTES,
    Decoder,
    Piece,
    StoredMessage,
    StreamTooLarge,
    decode,
    encode,
    ipc_messages,
    size_of,
)
from services.shared.arrow_stream.guard import DataStreams, TooManyStreams
from services.shared.arrow_stream.messages import MessageTooLarge
from services.shared.arrow_stream.scattered import Assembler, ScatteredMessage
from services.shared.arrow_stream.threaded import each_batch
from services.shared.arrow_stream.wire import MalformedStream

__all__ = [
    "CHUNK_BYTES",
    "MAX_MESSAGE_BYTES",
    "Assembler",
    "DataStreams",
    "Decoder",
    "MalformedStream",
    "MessageTooLarge",
    "Piece",
    "ScatteredMessage",
    "StoredMessage",
    "StreamTooLarge",
    "TooManyStreams",
    "decode",
    "each_batch",
    "encode",
    "ipc_messages",
    "read_arrow",
    "read_ipc",
    "size_of",
]
