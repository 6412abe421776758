"""A file's bytes: gzip undone within limits, and what is no data file told apart."""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import Final

from services.dataset.formats.options import Options
from services.dataset.formats.refusal import refused
from services.shared.errors import TooLarge

GZIP: Final = b"\x1f\x8b"
_STEP: Final = 1 << 20
_RATIO_FROM: Final = 16 << 20  # small files may repeat themselves as they like

_FOREIGN: Final = (
    (GZIP, "is gzip inside gzip: compress it once"),
    (b"{", "is JSON: save it as CSV"),
    (b"[", "is JSON: save it as CSV"),
    (b"<!", "is a web page, perhaps an error from where it was downloaded"),
    (b"<html", "is a web page, perhaps an error from where it was downloaded"),
    (b"PK\x03\x04", "is a ZIP archive (or an Excel workbook): unpack it, or save it as CSV"),
    (b"\xd0\xcf\x11\xe0", "is an old Excel workbook: save it as CSV"),
    (b"%PDF", "is a PDF"),
    (b"BZh", "is compressed with bzip2: use gzip or none"),
    (b"\xfd7zXZ", "is compressed with xz: use gzip or none"),
    (b"\x28\xb5\x2f\xfd", "is compressed with zstd: use gzip or none"),
    (b"SQLite format 3", "is an SQLite database"),
    (b"\x89PNG", "is an image"),
    (b"\x89HDF", "is an HDF5 file: save it as Parquet"),
    (b"\xff\xfe", "is UTF-16 text: save it as UTF-8"),
    (b"\xfe\xff", "is UTF-16 text: save it as UTF-8"),
)


def content_of(path: Path, options: Options) -> tuple[bytes, tuple[str, ...]]:
    """The file's bytes without gzip, and notes. Raises FileRefused, TooLarge."""
    size = path.stat().st_size
    if size > options.max_bytes:
        raise _too_big(f"has {size} bytes", options)
    raw = path.read_bytes()
    notes: tuple[str, ...] = ()
    if raw.startswith(GZIP):
        raw = _gunzip(raw, options)
        notes = (f"The file is gzip: {size} bytes hold {len(raw)}.",)
    if not raw:
        raise refused("is empty")
    for magic, what in _FOREIGN:
        if raw.startswith(magic):
            raise refused(what)
    return raw, notes


def _too_big(what: str, options: Options) -> TooLarge:
    return TooLarge(f"The file {what}; at most {options.max_bytes} are taken.")


def _gunzip(raw: bytes, options: Options) -> bytes:
    """All members of a gzip file, in steps, so that a bomb is stopped and not inflated."""
    out, size, rest = [], 0, raw
    while rest.startswith(GZIP):
        inflate = zlib.decompressobj(wbits=31)
        while not inflate.eof:
            try:
                piece = inflate.decompress(rest, _STEP)
            except zlib.error:
                raise refused("is damaged: its gzip data cannot be read") from None
            if not piece and not inflate.eof:
                raise refused("is cut off: its gzip data has no end")
            out.append(piece)
            size += len(piece)
            _stay_within(size, len(raw), options)
            rest = inflate.unused_data if inflate.eof else inflate.unconsumed_tail
    if rest.strip(b"\0"):
        raise refused("has bytes after the end of its gzip data")
    return b"".join(out)


def _stay_within(size: int, compressed: int, options: Options) -> None:
    if size > options.max_bytes:
        raise _too_big(f"expands to more than {options.max_bytes} bytes", options)
    if size > max(_RATIO_FROM, options.max_ratio * compressed):
        raise TooLarge(
            f"The file expands to more than {options.max_ratio} times its size: "
            "no price data does that."
        )
