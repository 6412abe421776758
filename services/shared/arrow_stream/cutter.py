"""Whole IPC messages out of bytes that arrive cut anywhere."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import pyarrow as pa

from services.shared.arrow_stream.messages import Envelope, Kind, metadata_end, read_envelope

_MOST_KNOWN: Final = 16
_MOST_BYTES: Final = 64 << 10
_NOTHING: Final = (b"", None)


class Cutter:
    """Messages that lie whole in what arrived are handed out in place; only what is torn is copied.

    Holds at most one message, one piece and a MiB of metadata.
    """

    def __init__(self, max_message_bytes: int) -> None:
        self._limit = max_message_bytes
        self._torn = bytearray()
        self._known: dict[int, tuple[bytes, Envelope]] = {}

    @property
    def is_empty(self) -> bool:
        return not self._torn

    def feed(self, piece: bytes | memoryview) -> Iterator[tuple[Envelope, pa.Buffer]]:
        """One at a time: who refuses a message never sees the ones behind it."""
        if self._torn:
            self._torn += piece
            envelope = self._envelope(memoryview(self._torn))
            if envelope is None or envelope.length > len(self._torn):
                return
            piece, self._torn = bytes(self._torn), bytearray()
        yield from self._whole(memoryview(piece).cast("B"))

    def _whole(self, data: memoryview) -> Iterator[tuple[Envelope, pa.Buffer]]:
        buffer = pa.py_buffer(data)
        position = 0
        while envelope := self._envelope(data[position:]):
            if position + envelope.length > len(data):
                break
            yield envelope, buffer.slice(position, envelope.length)
            position += envelope.length
        self._torn += data[position:]

    def _envelope(self, data: memoryview) -> Envelope | None:
        """Batches of one stream have few sizes, and those of one size mostly the same metadata."""
        metadata, envelope = self._known.get(len(data), _NOTHING)
        if metadata and bytes(data[: len(metadata)]) == metadata:
            return envelope
        found = read_envelope(data, self._limit)
        if found is not None and found.kind is Kind.BATCH:
            self._remember(data, found)
        return found

    def _remember(self, data: memoryview, envelope: Envelope) -> None:
        end = metadata_end(data)
        if end <= _MOST_BYTES:
            if len(self._known) == _MOST_KNOWN:
                self._known.clear()
            self._known[len(data)] = bytes(data[:end]), envelope
