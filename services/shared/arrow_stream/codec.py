"""Record batches to the messages of a gRPC stream and back.

The payloads of a stream put end to end are exactly one Arrow IPC stream: the
schema, then batches of about CHUNK_BYTES, then the end mark.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterable, Iterable, Iterator
from contextlib import aclosing
from typing import Final, NamedTuple, TypeAlias

import pyarrow as pa

from services.shared.arrow_stream.cutter import Cutter
from services.shared.arrow_stream.messages import END_OF_STREAM, Envelope, Kind, MessageTooLarge
from services.shared.arrow_stream.scattered import ScatteredMessage
from services.shared.arrow_stream.wire import HEADER_BYTES, MalformedStream, frame, payload
from services.shared.errors import TooLarge

CHUNK_BYTES: Final = 960 << 10  # with its frame it is below 1 MiB, which gRPC writes at once
MAX_MESSAGE_BYTES: Final = (4 << 20) - HEADER_BYTES
_ALIGNMENT: Final = 8


class StoredMessage(NamedTuple):
    """A record batch as it lies in a file: one whole IPC message, sent as it is."""

    ipc: pa.Buffer
    rows: int


Piece: TypeAlias = "pa.RecordBatch | StoredMessage | ScatteredMessage"


def size_of(piece: Piece) -> int:
    """Bytes of its IPC message; RecordBatch.nbytes takes twenty times as long to tell."""
    if isinstance(piece, StoredMessage):
        return int(piece.ipc.size)
    if isinstance(piece, ScatteredMessage):
        return piece.size
    return int(pa.ipc.get_record_batch_size(piece))


class StreamTooLarge(TooLarge):
    reason = "ARROW_STREAM_TOO_LARGE"


async def encode(schema: pa.Schema, pieces: AsyncGenerator[Piece]) -> AsyncGenerator[bytes]:
    """The messages of the response, serialized. Big batches are sliced, empty ones left out.

    `pieces` is closed when this is.
    """
    async with aclosing(pieces):
        yield frame(schema.serialize())
        async for piece in pieces:
            if isinstance(piece, StoredMessage):
                yield frame(piece.ipc)
            elif isinstance(piece, ScatteredMessage):
                yield frame(*piece.parts, size=piece.size)
            else:
                for message in _serialized(schema, piece):
                    yield frame(message)
        yield frame(END_OF_STREAM)


def ipc_messages(schema: pa.Schema, batches: Iterable[pa.RecordBatch]) -> Iterator[bytes]:
    """The same stream without the wire form of a response: for uploads and for Train's events."""
    yield schema.serialize().to_pybytes()
    for batch in batches:
        for message in _serialized(schema, batch):
            yield message.to_pybytes()
    yield END_OF_STREAM


def _serialized(schema: pa.Schema, batch: pa.RecordBatch) -> Iterator[pa.Buffer]:
    if not batch.schema.equals(schema):
        raise ValueError(f"A batch of {batch.schema} cannot be sent in a stream of {schema}.")
    rows = max(1, round(batch.num_rows * CHUNK_BYTES / size_of(batch)))
    for start in range(0, batch.num_rows, rows):
        yield from _small_enough(batch.slice(start, rows))


def _small_enough(batch: pa.RecordBatch) -> Iterator[pa.Buffer]:
    """Rows of very different lengths can make a slice far larger than the average."""
    if size_of(batch) <= 2 * CHUNK_BYTES or batch.num_rows == 1:
        message = batch.serialize()
        if message.size > MAX_MESSAGE_BYTES:
            raise MessageTooLarge(
                f"A row of {message.size} bytes is over the limit of {MAX_MESSAGE_BYTES}."
            )
        yield message
        return
    half = batch.num_rows // 2
    yield from _small_enough(batch.slice(0, half))
    yield from _small_enough(batch.slice(half))


class Decoder:
    """Record batches out of an Arrow stream that is fed in pieces, cut anywhere.

    Every batch is validated in full before it is given out. Holds at most one
    message, one piece and a MiB of metadata. Dictionaries and compressed bodies, which grow when
    read, are refused.
    """

    def __init__(
        self,
        schema: pa.Schema | None = None,
        *,
        max_message_bytes: int = MAX_MESSAGE_BYTES,
        max_bytes: int | None = None,
    ) -> None:
        self._expected = schema
        self._cutter = Cutter(max_message_bytes)
        self._max_rows = 8 * max_message_bytes  # columns of nulls take no bytes at all
        self._max_bytes = max_bytes
        self._bytes = 0
        self._ended = False
        self._required: list[tuple[int, str]] = []
        self.schema: pa.Schema | None = None

    def feed(self, piece: bytes | memoryview) -> list[pa.RecordBatch]:
        self._bytes += len(piece)
        if self._max_bytes is not None and self._bytes > self._max_bytes:
            raise StreamTooLarge(f"The Arrow stream is over its limit of {self._max_bytes} bytes.")
        batches = []
        for envelope, message in self._cutter.feed(piece):
            batch = self._read(envelope, message)
            if batch is not None:
                batches.append(batch)
        return batches

    def finish(self) -> None:
        """To be called after the last piece: a stream that just stops is refused."""
        if not self._ended or not self._cutter.is_empty:
            raise MalformedStream("The Arrow stream stops before its end mark.")

    def _read(self, envelope: Envelope, message: pa.Buffer) -> pa.RecordBatch | None:
        if self._ended:
            raise MalformedStream("The Arrow stream goes on after its end mark.")
        if envelope.kind is Kind.DICTIONARY or envelope.compressed:
            raise MalformedStream("Dictionaries and compressed batches are not accepted here.")
        if (envelope.kind is Kind.SCHEMA) == (self.schema is not None):
            raise MalformedStream("An Arrow stream starts with its schema and has only one.")
        try:
            return self._take(envelope, _aligned(message))
        except (pa.ArrowException, OSError, ValueError, LookupError) as error:
            raise MalformedStream("A message of the Arrow stream is broken.") from error

    def _take(self, envelope: Envelope, message: pa.Buffer) -> pa.RecordBatch | None:
        if envelope.kind is Kind.SCHEMA:
            self.schema = self._checked_schema(pa.ipc.read_schema(message))
        elif envelope.kind is Kind.BATCH:
            batch = pa.ipc.read_record_batch(message, self.schema)
            self._check(batch, () if envelope.has_no_nulls else self._required)
            return batch
        else:
            self._ended = True
        return None

    def _checked_schema(self, schema: pa.Schema) -> pa.Schema:
        for field in schema:
            _check_names(field)
        self._required = [(i, f.name) for i, f in enumerate(schema) if not f.nullable]
        if self._expected is not None and not schema.equals(self._expected):
            raise MalformedStream(f"The columns sent are {schema}; expected are {self._expected}.")
        return schema

    def _check(self, batch: pa.RecordBatch, required: Iterable[tuple[int, str]]) -> None:
        if batch.num_rows > self._max_rows:
            raise MessageTooLarge(f"A batch of {batch.num_rows} rows is over {self._max_rows}.")
        batch.validate(full=True)
        for position, name in required:
            if batch.column(position).null_count:
                raise MalformedStream(f"Column {name!r} has nulls and may have none.")


def _check_names(field: pa.Field) -> None:
    """Raises ValueError for names that are not UTF-8; pyarrow notices when they are used."""
    _ = field.name
    for position in range(field.type.num_fields):
        _check_names(field.type.field(position))


def _aligned(message: pa.Buffer) -> pa.Buffer:
    """Columns off their 8-byte borders are slow or unusable for compiled code."""
    return pa.py_buffer(message.to_pybytes()) if message.address % _ALIGNMENT else message


async def decode(
    raws: AsyncIterable[bytes], schema: pa.Schema | None = None
) -> AsyncGenerator[pa.RecordBatch]:
    """The batches of a response stream read without deserializing.

    Raises MalformedStream, also when the columns are not those of `schema`.
    """
    decoder = Decoder(schema)
    async for raw in raws:
        for batch in decoder.feed(payload(raw)):
            yield batch
    decoder.finish()
