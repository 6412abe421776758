"""Uploaded files in pieces, unpacked when they are gzip."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from typing import BinaryIO, Final

from services.shared.errors import InvalidRequest, TooLarge, Violation

PIECE_BYTES: Final = 1 << 20
_GZIP: Final = b"\x1f\x8b"
_WINDOW: Final = 16 + zlib.MAX_WBITS  # with a gzip header
_RATIO: Final = 200
_REASON: Final = "BODY_TOO_LARGE"  # as of a body that is too large as it comes
_RATIO_FREE_BYTES: Final = 64 << 20  # a small file of one repeated line is no attack


def pieces(file: BinaryIO, name: str, max_bytes: int) -> Iterator[bytes]:
    """At most PIECE_BYTES each. A bomb is stopped while it is small: TooLarge."""
    file.seek(0)
    head = file.read(len(_GZIP))
    file.seek(0)
    stored = iter(lambda: file.read(PIECE_BYTES), b"")
    return _unpacked(stored, name, max_bytes) if head == _GZIP else stored


def _unpacked(packed: Iterator[bytes], name: str, max_bytes: int) -> Iterator[bytes]:
    taken = given = 0
    decoder = zlib.decompressobj(_WINDOW)
    for piece in packed:
        taken += len(piece)
        rest, more = piece, True
        while more:
            if decoder.eof:  # a gzip file may be several, one after the other
                decoder = zlib.decompressobj(_WINDOW)
            data = _inflated(decoder, rest, name)
            given += len(data)
            _refuse_bomb(name, taken, given, max_bytes)
            if data:
                yield data
            rest = decoder.unused_data if decoder.eof else decoder.unconsumed_tail
            more = bool(rest) or (len(data) == PIECE_BYTES and not decoder.eof)
    if not decoder.eof:
        raise InvalidRequest([Violation(name, "is a gzip file that stops before its end")])


def _inflated(decoder: zlib._Decompress, packed: bytes, name: str) -> bytes:
    try:
        return decoder.decompress(packed, PIECE_BYTES)
    except zlib.error as error:
        raise InvalidRequest([Violation(name, f"is a broken gzip file: {error}")]) from error


def _refuse_bomb(name: str, taken: int, given: int, max_bytes: int) -> None:
    if given > max_bytes:
        sentence = f"{name} is over the limit of {max_bytes} bytes when unpacked."
        raise TooLarge(sentence, reason=_REASON)
    if given > max(_RATIO_FREE_BYTES, _RATIO * taken):
        sentence = f"{name} unpacks to more than {_RATIO} times its size."
        raise TooLarge(sentence, reason=_REASON)
