"""A text file as blocks of clean lines: UTF-8, one newline each, no blank ones, numbered.

Everything is done on whole blocks with numpy; polars then sees only well-formed input.
"""

from __future__ import annotations

import csv
import mmap
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from services.dataset.formats.options import Options
from services.dataset.formats.raw import block_bytes
from services.dataset.formats.refusal import Int64s, Mask, Places, refuse_rows, refused

_BOM: Final = b"\xef\xbb\xbf"
_NEWLINE, _SPACE, _QUOTE = 10, 32, 34
_SEPARATORS: Final = ("\t", ";", ",")
_NAMES: Final = {"\t": "tabs", ";": "semicolons", ",": "commas", " ": "spaces", "|": "bars"}
_SAMPLE_LINES: Final = 100
_SAMPLE: Final = 1 << 20
_LONGEST_LINE: Final = 4 << 20
csv.field_size_limit(_LONGEST_LINE)
_UNCLEAN: Final = (b"\0", b"\r", b'"')
_BEGINS_BLANK: Final = re.compile(rb"\n[\x00-\x20]")

Bytes = NDArray[np.uint8]


class Piece(NamedTuple):
    """Whole lines of the file: the number of the first, and how many there are."""

    data: bytes
    line: int
    lines: int


@dataclass(frozen=True)
class Lines:
    """Lines with as many fields each; `data` ends with a newline or is empty."""

    data: bytes
    places: Places


@dataclass(frozen=True, kw_only=True)
class TextFile:
    """`start` is where the first line with anything in it begins, `line` its number."""

    data: mmap.mmap
    newline: bytes
    start: int
    line: int
    separator: str
    first: tuple[str, ...]
    notes: tuple[str, ...]

    def pieces(self, *, header: int) -> Iterator[Piece]:
        start = self.data.find(self.newline, self.start) + 1 if header else self.start
        if start or not header:
            size = block_bytes(len(self.first))
            yield from _pieces(self.data, self.newline, start, self.line + header, size)

    def sample(self, *, header: int) -> Piece:
        whole = next(self.pieces(header=header), Piece(b"", self.line, 0))
        end = whole.data.rfind(self.newline, 0, _SAMPLE) + 1 or len(whole.data)
        return _piece(whole.data[:end], whole.line, self.newline)

    def plain_lines(self, piece: Piece) -> Lines | None:
        """What needs no cleaning, told at a glance: ASCII without quotes, and as many separators
        as its lines must have. A blank line among them goes with a longer one."""
        data, width = piece.data, len(self.first)
        if self.newline != b"\n" or self.separator == " " or width == 1:
            return None
        if not data.endswith(b"\n") or not data.isascii() or any(c in data for c in _UNCLEAN):
            return None
        if _count(data, self.separator) != piece.lines * (width - 1):
            return None
        if self.separator < " " and (data[0] <= _SPACE or _BEGINS_BLANK.search(data)):
            return None  # a line of nothing but tabs is blank, with as many as it must have
        return Lines(data, Places("line", np.arange(piece.line, piece.line + piece.lines)))

    def lines(self, piece: Piece) -> Lines:
        """Raises FileRefused for what is no text."""
        data, places = _clean(piece, self.newline)
        return Lines(_single_spaced(data) if self.separator == " " else data, places)

    def is_even(self, lines: Lines) -> bool:
        """Whether lines have as many fields as the first, unless some have more and some less."""
        if b'"' in lines.data:
            return False
        found = _count(lines.data, self.separator)
        return found == len(lines.places.numbers) * (len(self.first) - 1)

    def evened(self, lines: Lines) -> Lines:
        """Without separators at the ends of lines; refused when lines differ in length."""
        codes = np.frombuffer(lines.data, np.uint8)
        ends = np.flatnonzero(codes == _NEWLINE)
        counts = np.diff(np.flatnonzero(self._marks(codes, ends, lines)), prepend=-1)
        trailing = codes[ends - 1] == ord(self.separator)
        fields = len(self.first)
        surplus = trailing & (counts == fields + 1)
        rule = f"does not have the {fields} fields of the first line"
        refuse_rows(lines.places, [(rule, counts - surplus != fields)])
        if not surplus.any():
            return lines
        keep = np.ones(len(codes), np.bool_)
        keep[ends[surplus] - 1] = False
        return Lines(codes[keep].tobytes(), lines.places)

    def _marks(self, codes: Bytes, ends: Int64s, lines: Lines) -> Mask:
        """For every separator and line end, in order, whether it is a line end."""
        separates = codes == ord(self.separator)
        if b'"' in lines.data:
            separates &= ~_quoted(codes, ends, lines.places, self.separator)
        marks: Mask = codes[separates | (codes == _NEWLINE)] == _NEWLINE
        return marks


def text_file(data: mmap.mmap, options: Options) -> TextFile:
    """Raises FileRefused for what cannot be split into lines of fields."""
    bom = len(_BOM) if data[: len(_BOM)] == _BOM else 0
    head = data[: bom + _LONGEST_LINE]
    newline = b"\n" if b"\n" in head or b"\r" not in head else b"\r"
    start, line = _first_line(data, newline, bom)
    piece = next(_pieces(data, newline, start, line, _SAMPLE))
    sample = _clean(piece, newline)[0].decode().split("\n")[:-1][:_SAMPLE_LINES]
    separator, notes = _separator_of(sample, options)
    if separator == " ":
        sample[0] = _single_spaced(f"{sample[0]}\n".encode()).decode().removesuffix("\n")
    fields = next(_split(sample[:1], separator))
    has_trailing = sample[0].endswith(separator) and not fields[-1]
    width = len(fields) - has_trailing
    if any(text.endswith(separator) for text in sample) and any(
        len(split) > width for split in _split(sample, separator)
    ):
        notes = (*notes, "Separators at the ends of lines are left out.")
    return TextFile(
        data=data,
        newline=newline,
        start=start,
        line=line,
        separator=separator,
        first=tuple(fields[:-1] if has_trailing else fields),
        notes=notes,
    )


def _first_line(data: mmap.mmap, newline: bytes, start: int) -> tuple[int, int]:
    """Where the first line that is not blank begins, and its number."""
    line = 1
    while start < len(data):
        block = data[start : start + _SAMPLE]
        if found := re.search(rb"[^\x00-\x20]|\x00", block):
            line += block.count(newline, 0, found.start())
            return start + block.rfind(newline, 0, found.start()) + 1, line
        line += block.count(newline)
        start += len(block)
    raise refused("is empty")


def _pieces(data: mmap.mmap, newline: bytes, start: int, line: int, size: int) -> Iterator[Piece]:
    while start < len(data):
        limit = start + size + _LONGEST_LINE + len(newline)
        end = data.find(newline, start + size, limit) + 1 or min(len(data), limit)
        piece = _piece(data[start:end], line, newline)
        _refuse_long_lines(piece, newline)
        yield piece
        start = end
        line += piece.lines


def _piece(data: bytes, line: int, newline: bytes) -> Piece:
    return Piece(data, line, _count(data, newline.decode()))


def _count(data: bytes, character: str) -> int:
    return int(np.count_nonzero(np.frombuffer(data, np.uint8) == ord(character)))


def _refuse_long_lines(piece: Piece, newline: bytes) -> None:
    """From each line's start to the last end of a line that it may reach."""
    start = 0
    while len(piece.data) - start > _LONGEST_LINE:
        end = piece.data.rfind(newline, start, start + _LONGEST_LINE + len(newline)) + 1
        if not end:
            line = piece.line + piece.data.count(newline, 0, start)
            raise refused(f"has more than {_LONGEST_LINE} bytes (4 MiB) in line {line}")
        start = end


def _clean(piece: Piece, newline: bytes) -> tuple[bytes, Places]:
    data = piece.data
    if b"\0" in data:
        line = piece.line + data.count(newline, 0, data.index(b"\0"))
        raise refused(f"has a NUL byte in line {line}: it is no text file")
    if not data.isascii():
        _refuse_other_encodings(piece, newline)
    if b"\r" in data:
        data = data.replace(b"\r", b"\n") if newline == b"\r" else _with_newlines(data)
    if not data.endswith(b"\n"):
        data += b"\n"
    return _without_blank_lines(data, piece.line)


def _refuse_other_encodings(piece: Piece, newline: bytes) -> None:
    try:
        piece.data.decode()
    except UnicodeDecodeError as error:
        line = piece.line + piece.data.count(newline, 0, error.start)
        byte = piece.data[error.start]
        raise refused(f"is not UTF-8: line {line} has the byte 0x{byte:02x}") from None


def _with_newlines(data: bytes) -> bytes:
    """One newline for every CRLF."""
    data = data.replace(b"\r\n", b"\n")
    return re.sub(rb"\r+\n", b"\n", data) if b"\r" in data else data


def _without_blank_lines(data: bytes, line: int) -> tuple[bytes, Places]:
    codes = np.frombuffer(data, np.uint8)
    ends = np.flatnonzero(codes == _NEWLINE)
    starts = np.concatenate([[0], ends[:-1] + 1])
    numbers = np.arange(line, line + len(ends))
    if bool((codes[starts] > _SPACE).all()):
        return data, Places("line", numbers)
    kept: Mask = np.logical_or.reduceat(codes > _SPACE, starts)
    return codes[np.repeat(kept, ends + 1 - starts)].tobytes(), Places("line", numbers[kept])


def _separator_of(sample: list[str], options: Options) -> tuple[str, tuple[str, ...]]:
    if options.separator is not None:
        if len(options.separator) != 1 or not options.separator.isascii():
            raise refused(f"is {options.separator!r}: give one ASCII character", field="separator")
        if options.separator in '"\r\n\0.+-' or options.separator.isalnum():
            raise refused(f"is {options.separator!r}, which cannot separate", field="separator")
        return options.separator, ()
    sample = [line.strip(" ") for line in sample]
    separator = next((s for s in _SEPARATORS if _splits_evenly(sample, s)), None)
    if separator is None:
        present = next((s for s in _SEPARATORS if s in sample[0]), " ")
        spaced = {len(line.split()) for line in sample}
        separator = " " if len(spaced) == 1 and spaced != {1} else present
    return separator, (f"Fields are separated by {_NAMES[separator]}.",)


def _splits_evenly(sample: list[str], separator: str) -> bool:
    header = len(next(_split([sample[0].removesuffix(separator)], separator)))
    return header > 1 and all(
        len(fields) == header or (not fields[-1] and len(fields) == header + 1)
        for fields in _split(sample, separator)
    )


def _split(lines: list[str], separator: str) -> Iterator[list[str]]:
    try:
        for row in csv.reader(lines, delimiter=separator):
            yield [field.strip() for field in row]
    except csv.Error as error:
        raise refused(f"cannot be split into fields: {error}") from None


def _single_spaced(data: bytes) -> bytes:
    """Runs of spaces and tabs as one space, none at the ends of lines."""
    if b'"' in data:
        raise refused("has quotes, which a file separated by spaces cannot have")
    codes = np.frombuffer(data.replace(b"\t", b" "), np.uint8)
    space = codes == _SPACE
    before = np.concatenate([[True], (space | (codes == _NEWLINE))[:-1]])
    codes = codes[~(space & before)]
    at_end = np.concatenate([(codes == _NEWLINE)[1:], [False]])
    return bytes(codes[~((codes == _SPACE) & at_end)])


def _quoted(codes: Bytes, ends: Int64s, places: Places, separator: str) -> Mask:
    """Which bytes lie inside quotes; these must span whole fields and end on their line."""
    inside: Mask = (np.cumsum(codes == _QUOTE, dtype=np.uint8) & 1).astype(np.bool_)
    refuse_rows(places, [("has a quote that does not end there", inside[ends])])
    quotes = np.flatnonzero(codes == _QUOTE)
    before = np.where(quotes[::2] > 0, codes[quotes[::2] - 1], _NEWLINE)
    after = codes[quotes[1::2] + 1]
    edges = (ord(separator), _NEWLINE, _QUOTE)
    stray = np.repeat(~np.isin(before, edges) | ~np.isin(after, edges), 2)
    broken = np.zeros(len(ends), np.bool_)
    broken[np.searchsorted(ends, quotes[stray])] = True
    refuse_rows(places, [("has quotes around a part of a field", broken)])
    return inside
