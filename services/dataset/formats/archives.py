"""gzip and zip undone as a stream, into a file, within limits on bytes and on the ratio.

Nothing is ever written under a name that an archive gives.
"""

from __future__ import annotations

import stat
import struct
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Final

from services.dataset.formats.options import Options
from services.dataset.formats.refusal import ambiguous, named, refused
from services.shared.errors import TooLarge
from services.shared.series.disk import disk_full_is_told

GZIP: Final = b"\x1f\x8b"
ZIP: Final = b"PK\x03\x04"
_STEP: Final = 1 << 20
_RATIO_FROM: Final = 16 << 20  # small files may repeat themselves as they like
_MAX_DIRECTORY: Final = 1 << 20
_END, _END_BYTES, _MAX_COMMENT = b"PK\x05\x06", 22, 0xFFFF
_LOCATOR_BYTES, _END64_BYTES = 20, 56
_ENCRYPTED: Final = 0x1
_METHODS: Final = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)

Unpacked = tuple[Path, tuple[str, ...]]


def too_big(what: str, options: Options) -> TooLarge:
    return TooLarge(f"The file {what}; at most {options.max_bytes} are taken.")


def gunzip(path: Path, options: Options, aside: Path) -> Unpacked:
    packed = path.stat().st_size
    with path.open("rb") as file:
        plain, size = _written(_inflated(file), packed, options, aside)
    return plain, (f"The file is gzip: {packed} bytes hold {size}.",)


def unzip(path: Path, options: Options, aside: Path) -> tuple[Path, str, tuple[str, ...]]:
    """The one file in it, or the one asked for: where it is now, its name, and notes."""
    _check_directory(path)
    try:
        with zipfile.ZipFile(path) as archive:
            member = _member(archive, options)
            _check_member(member)
            with archive.open(member) as file:
                pieces = iter(lambda: file.read(_STEP), b"")
                plain, size = _written(pieces, member.compress_size, options, aside)
    except (
        zipfile.BadZipFile,
        zlib.error,
        EOFError,
        NotImplementedError,
        ValueError,
        OSError,
    ) as e:
        raise refused("is a damaged ZIP archive") from e
    name = member.filename
    return plain, name, (f"The file is {name!r} of a ZIP archive: {size} bytes.",)


def _written(
    pieces: Iterator[bytes], packed: int, options: Options, aside: Path
) -> tuple[Path, int]:
    path, size = aside / "plain", 0
    with disk_full_is_told(aside), path.open("wb") as file:
        for piece in pieces:
            size += len(piece)
            _stay_within(size, packed, options)
            file.write(piece)
    return path, size


def _stay_within(size: int, packed: int, options: Options) -> None:
    if size > options.max_bytes:
        raise too_big(f"expands to more than {options.max_bytes} bytes", options)
    if size > max(_RATIO_FROM, options.max_ratio * packed):
        raise TooLarge(
            f"The file expands to more than {options.max_ratio} times its size: "
            "no price data does that."
        )


def _inflated(file: IO[bytes]) -> Iterator[bytes]:
    """All members of a gzip file, in steps, so that a bomb is stopped and not inflated."""
    rest = file.read(_STEP)
    while rest.startswith(GZIP):
        inflate = zlib.decompressobj(wbits=31)
        while not inflate.eof:
            try:
                piece = inflate.decompress(rest, _STEP)
            except zlib.error:
                raise refused("is damaged: its gzip data cannot be read") from None
            if piece:
                yield piece
            rest = inflate.unused_data if inflate.eof else inflate.unconsumed_tail
            if len(rest) < len(GZIP):
                more = file.read(_STEP)
                if not more and not piece and not inflate.eof:
                    raise refused("is cut off: its gzip data has no end")
                rest += more
    while rest:
        if rest.strip(b"\0"):
            raise refused("has bytes after the end of its gzip data")
        rest = file.read(_STEP)


def _check_directory(path: Path) -> None:
    """Before it is read: its list of files is held in memory, a hundred times as large."""
    with path.open("rb") as file:
        size = file.seek(0, 2)
        start = max(0, size - _MAX_COMMENT - _END_BYTES - _LOCATOR_BYTES - _END64_BYTES)
        file.seek(start)
        tail = file.read()
    at = tail.rfind(_END)
    if at < 0 or at + _END_BYTES > len(tail):
        raise refused("is a damaged ZIP archive")
    sizes = [struct.unpack_from("<I", tail, at + 12)[0]]
    at64 = at - _LOCATOR_BYTES - _END64_BYTES
    if at64 >= 0 and tail[at - _LOCATOR_BYTES :].startswith(b"PK\x06\x07"):
        sizes = [struct.unpack_from("<Q", tail, at64 + 40)[0]]
    if max(sizes) > _MAX_DIRECTORY:
        raise TooLarge("The ZIP archive holds too many files: its list of them is over 1 MiB.")


def _member(archive: zipfile.ZipFile, options: Options) -> zipfile.ZipInfo:
    members = [m for m in archive.infolist() if not _is_clutter(m)]
    names = [m.filename for m in members]
    if "[Content_Types].xml" in names:
        raise refused("is an Excel workbook: save it as CSV")
    if not members:
        raise refused("is a ZIP archive without files")
    if options.member is None and len(members) > 1:
        raise ambiguous(f"is missing: the ZIP archive holds {named(names)}", option="member")
    if options.member is None:
        return members[0]
    found = [m for m in members if m.filename == options.member]
    if len(found) != 1:
        count = "" if not found else f" {len(found)} times"
        what = f"is {options.member!r}, but the ZIP archive holds {named(names)}"
        raise refused(f"{what}{count and ', and that one' + count}", field="member")
    return found[0]


def _is_clutter(member: zipfile.ZipInfo) -> bool:
    base = member.filename.rsplit("/", 1)[-1]
    return member.is_dir() or member.filename.startswith("__MACOSX/") or base == ".DS_Store"


def _check_member(member: zipfile.ZipInfo) -> None:
    if member.flag_bits & _ENCRYPTED:
        raise refused("is an encrypted ZIP archive: unpack it first")
    if stat.S_ISLNK(member.external_attr >> 16):
        raise refused(f"holds a link where a file should be, {member.filename!r}")
    if member.compress_type not in _METHODS:
        raise refused("is a ZIP archive of a compression other than deflate")
