"""A text file as clean lines: UTF-8, one newline each, no blank ones, numbered as in the file.

Everything is done on the whole buffer with numpy; polars then sees only well-formed input.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from services.dataset.formats.options import Options
from services.dataset.formats.refusal import Int64s, Mask, Places, refuse_rows, refused

_BOM: Final = b"\xef\xbb\xbf"
_NEWLINE, _SPACE, _QUOTE = 10, 32, 34
_SEPARATORS: Final = ("\t", ";", ",")
_NAMES: Final = {"\t": "tabs", ";": "semicolons", ",": "commas", " ": "spaces", "|": "bars"}
_SAMPLE: Final = 100
_BLOCK: Final = 1 << 20

Bytes = NDArray[np.uint8]


@dataclass(frozen=True, kw_only=True)
class Text:
    """Lines that all have as many fields as the first; `data` ends with a newline."""

    data: bytes
    places: Places
    separator: str
    notes: tuple[str, ...]

    def first_fields(self) -> list[str]:
        first = self.data[: self.data.index(b"\n")]
        return next(_split([first.decode()], self.separator))


def text_of(raw: bytes, options: Options) -> Text:
    """Raises FileRefused for what is no text and for lines of unequal length."""
    data, numbers = _without_blank_lines(_decoded(raw))
    separator, notes = _separator_of(data, options)
    if separator == " ":
        data = _single_spaced(data)
    text = Text(data=data, places=Places("line", numbers), separator=separator, notes=notes)
    return _even(text)


def _decoded(raw: bytes) -> bytes:
    if b"\0" in raw:
        line = raw.count(b"\n", 0, raw.index(b"\0")) + 1
        raise refused(f"has a NUL byte in line {line}: it is no text file")
    if not raw.isascii():
        _refuse_other_encodings(raw)
    data = raw.removeprefix(_BOM)
    if b"\r" in data:
        data = _with_newlines(data)
    return data if data.endswith(b"\n") else data + b"\n"


def _refuse_other_encodings(raw: bytes) -> None:
    for start, block in line_blocks(raw):
        try:
            block.decode()
        except UnicodeDecodeError as error:
            at = start + error.start
            line = raw.count(b"\n", 0, at) + 1
            raise refused(f"is not UTF-8: line {line} has the byte 0x{raw[at]:02x}") from None


def _with_newlines(data: bytes) -> bytes:
    """One newline for every CRLF (or CR, when there is no newline at all)."""
    if b"\n" not in data:
        return data.replace(b"\r", b"\n")
    lines = io.BytesIO()
    for _, block in line_blocks(data):
        block = block.replace(b"\r\n", b"\n")
        lines.write(re.sub(rb"\r+\n", b"\n", block) if b"\r" in block else block)
    return lines.getvalue()


def line_blocks(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Whole lines, about a MiB at a time: bytes are worked on with the interpreter locked, and
    in one go the event loop would stand still for all of them."""
    start = 0
    while start < len(data):
        end = data.find(b"\n", start + _BLOCK) + 1 or len(data)
        yield start, data[start:end]
        start = end


def _without_blank_lines(data: bytes) -> tuple[bytes, Int64s]:
    codes = np.frombuffer(data, np.uint8)
    ends = _line_ends(codes)
    starts = np.concatenate([[0], ends[:-1] + 1])
    if bool((codes[starts] > _SPACE).all()):
        return data, np.arange(1, len(ends) + 1)
    kept: Mask = np.logical_or.reduceat(codes > _SPACE, starts)
    if not kept.any():
        raise refused("is empty")
    return codes[np.repeat(kept, ends + 1 - starts)].tobytes(), np.flatnonzero(kept) + 1


def _separator_of(data: bytes, options: Options) -> tuple[str, tuple[str, ...]]:
    if options.separator is not None:
        if len(options.separator) != 1 or not options.separator.isascii():
            raise refused(f"is {options.separator!r}: give one ASCII character", field="separator")
        if options.separator in '"\r\n\0.+-' or options.separator.isalnum():
            raise refused(f"is {options.separator!r}, which cannot separate", field="separator")
        return options.separator, ()
    whole_lines = max(data.rfind(b"\n", 0, 1 << 16), data.index(b"\n"))
    sample = [line.strip(" ") for line in data[:whole_lines].decode().split("\n")[:_SAMPLE]]
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


def _even(text: Text) -> Text:
    """The text without separators at the ends of lines; refused when lines differ in length."""
    codes = np.frombuffer(text.data, np.uint8)
    ends = _line_ends(codes)
    counts = np.diff(np.flatnonzero(_marks(codes, ends, text)), prepend=-1)
    trailing = codes[ends - 1] == ord(text.separator)
    header = counts[0] - (1 if trailing[0] and not text.first_fields()[-1] else 0)
    surplus = trailing & (counts == header + 1)
    rule = f"does not have the {header} fields of the first line"
    refuse_rows(text.places, [(rule, counts - surplus != header)])
    if not surplus.any():
        return text
    keep = np.ones(len(codes), np.bool_)
    keep[ends[surplus] - 1] = False
    note = "Separators at the ends of lines were left out."
    return replace(text, data=codes[keep].tobytes(), notes=(*text.notes, note))


def _line_ends(codes: Bytes) -> Int64s:
    return np.concatenate([np.flatnonzero(b == _NEWLINE) + start for start, b in _blocks(codes)])


def _marks(codes: Bytes, ends: Int64s, text: Text) -> Mask:
    """For every separator and line end, in order, whether it is a line end."""
    separator = ord(text.separator)
    if _QUOTE in text.data:
        separates = (codes == separator) & ~_quoted(codes, ends, text)
        found = codes[separates | (codes == _NEWLINE)]
    else:
        found = np.concatenate([b[(b == separator) | (b == _NEWLINE)] for _, b in _blocks(codes)])
    marks: Mask = found == _NEWLINE
    return marks


def _blocks(codes: Bytes) -> Iterator[tuple[int, Bytes]]:
    """Pieces small enough that what is made of them stays in the processor's cache."""
    for start in range(0, len(codes), _BLOCK):
        yield start, codes[start : start + _BLOCK]


def _quoted(codes: Bytes, ends: Int64s, text: Text) -> Mask:
    """Which bytes lie inside quotes; these must span whole fields and end on their line."""
    inside: Mask = (np.cumsum(codes == _QUOTE, dtype=np.uint8) & 1).astype(np.bool_)
    refuse_rows(text.places, [("has a quote that does not end there", inside[ends])])
    quotes = np.flatnonzero(codes == _QUOTE)
    before = np.where(quotes[::2] > 0, codes[quotes[::2] - 1], _NEWLINE)
    after = codes[quotes[1::2] + 1]
    edges = (ord(text.separator), _NEWLINE, _QUOTE)
    stray = np.repeat(~np.isin(before, edges) | ~np.isin(after, edges), 2)
    broken = np.zeros(len(ends), np.bool_)
    broken[np.searchsorted(ends, quotes[stray])] = True
    refuse_rows(text.places, [("has quotes around a part of a field", broken)])
    return inside
