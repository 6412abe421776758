"""A file's bytes as a map of the plain file: compression undone within limits, into a file."""

from __future__ import annotations

import mmap
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from services.dataset.formats.archives import GZIP, ZIP, gunzip, too_big, unzip
from services.dataset.formats.options import Options
from services.dataset.formats.refusal import refused

_TWICE: Final = "is compressed twice: compress it once"

_FOREIGN: Final = (
    (GZIP, _TWICE),
    (ZIP, _TWICE),
    (b"{", "is JSON: save it as CSV"),
    (b"[", "is JSON: save it as CSV"),
    (b"<!", "is a web page, perhaps an error from where it was downloaded"),
    (b"<html", "is a web page, perhaps an error from where it was downloaded"),
    (b"\xd0\xcf\x11\xe0", "is an old Excel workbook: save it as CSV"),
    (b"%PDF", "is a PDF"),
    (b"BZh", "is compressed with bzip2: use gzip or none"),
    (b"\xfd7zXZ", "is compressed with xz: use gzip or none"),
    (b"\x28\xb5\x2f\xfd", "is compressed with zstd: use gzip or none"),
    (b"7z\xbc\xaf", "is a 7-Zip archive: use zip, gzip or none"),
    (b"Rar!", "is a RAR archive: use zip, gzip or none"),
    (b"SQLite format 3", "is an SQLite database"),
    (b"\x89PNG", "is an image"),
    (b"\x89HDF", "is an HDF5 file: save it as Parquet"),
    (b"FEA1", "is Feather version 1: save it as version 2"),
    (b"\xff\xfe", "is UTF-16 text: save it as UTF-8"),
    (b"\xfe\xff", "is UTF-16 text: save it as UTF-8"),
)


@dataclass(frozen=True, kw_only=True)
class Content:
    """`path` is the plain file, which the map outlives; `member` the file of an archive."""

    path: Path
    data: mmap.mmap
    notes: tuple[str, ...]
    member: str | None


def content_of(path: Path, options: Options, aside: Path) -> Content:
    """Raises FileRefused, TooLarge. What is unpacked is put into `aside`."""
    size = path.stat().st_size
    if size > options.max_bytes:
        raise too_big(f"has {size} bytes", options)
    with path.open("rb") as file:
        head = file.read(len(ZIP))
    notes: tuple[str, ...] = ()
    member = None
    if head.startswith(GZIP):
        path, notes = gunzip(path, options, aside)
    elif head == ZIP:
        path, member, notes = unzip(path, options, aside)
    elif options.member is not None:
        raise refused(f"is {options.member!r}, but the file is no zip archive", field="member")
    return Content(path=path, data=_mapped(path), notes=notes, member=member)


def _mapped(path: Path) -> mmap.mmap:
    if not path.stat().st_size:
        raise refused("is empty")
    with path.open("rb") as file:
        data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    for magic, what in _FOREIGN:
        if data[: len(magic)] == magic:
            raise refused(what)
    return data
