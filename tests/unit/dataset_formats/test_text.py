from __future__ import annotations

import mmap
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from unittest.mock import patch

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.dataset.formats import FileRefused, Options, text
from services.dataset.formats.text import TextFile, text_file

BLOCKS = st.integers(1, 40)
LINES = st.lists(
    st.tuples(
        st.text(st.characters(codec="utf-8", categories=["L", "N"]), min_size=1, max_size=9),
        st.sampled_from(["\n", "\r\n", "\r\r\n"]),
    ),
    min_size=1,
    max_size=12,
)


def opened(raw: bytes) -> TextFile:
    with tempfile.TemporaryFile() as file:
        file.write(raw)
        file.flush()
        data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    return text_file(data, Options(separator=","))


def read_all(raw: bytes) -> list[bytes]:
    file = opened(raw)
    return [file.lines(piece).data for piece in file.pieces(header=True)]


@contextmanager
def cut_every(size: int) -> Iterator[None]:
    with patch.object(text, "block_bytes", lambda _: size), patch.object(text, "_SAMPLE", size):
        yield


@given(LINES, BLOCKS)
def test_lines_end_with_one_newline_wherever_the_blocks_are_cut(
    lines: list[tuple[str, str]], block: int
) -> None:
    raw = "".join(words + ",1" + end for words, end in lines).encode()
    with cut_every(block):
        file = opened(raw)
        found = [file.lines(piece) for piece in file.pieces(header=False)]
    assert b"".join(f.data for f in found) == "".join(f"{words},1\n" for words, _ in lines).encode()
    assert [n for f in found for n in f.places.numbers] == [*range(1, len(lines) + 1)]


@given(LINES, BLOCKS)
def test_pieces_are_whole_lines_and_no_longer_than_they_must_be(
    lines: list[tuple[str, str]], block: int
) -> None:
    data = "".join(words + ",1" + end for words, end in lines).encode()
    with cut_every(block):
        pieces = [*opened(data).pieces(header=False)]
    assert b"".join(piece.data for piece in pieces) == data
    longest = max(map(len, data.split(b"\n"))) + 1
    assert all(piece.data.endswith(b"\n") for piece in pieces)
    assert all(len(piece.data) <= block + longest for piece in pieces)


@pytest.mark.parametrize("block", [1, 1000])
def test_a_byte_that_is_no_utf_8_is_found_in_any_block(block: int) -> None:
    raw = "Date,Ä\n".encode() + b"1,2\n" * 20 + b"1,\xff\n" + b"1,2\n" * 20
    with cut_every(block), pytest.raises(FileRefused, match="line 22 has the byte 0xff"):
        read_all(raw)


def test_a_carriage_return_alone_ends_lines_when_there_is_no_newline() -> None:
    assert read_all(b"A,B\r1,2\r") == [b"1,2\n"]


def test_a_line_without_an_end_is_refused_before_it_fills_the_memory() -> None:
    raw = b"A,B\n1,2\n" + b"1" * 5000 + b",2\n"
    with (
        patch.object(text, "_LONGEST_LINE", 1000),
        cut_every(100),
        pytest.raises(FileRefused, match=r"more than 1000 bytes .* in line 3"),
    ):
        read_all(raw)


@given(st.lists(st.integers(1, 60), min_size=1, max_size=12), BLOCKS, st.booleans())
def test_a_line_may_be_as_long_as_is_allowed_and_no_longer(
    lengths: list[int], block: int, has_end: bool
) -> None:
    raw = b"\n".join(b"1" * length for length in lengths) + b"\n" * has_end
    with patch.object(text, "_LONGEST_LINE", 40), cut_every(block):
        long = [line for line, length in enumerate(lengths, 1) if length > 40]
        if long:
            with pytest.raises(FileRefused, match=rf"more than 40 bytes .* in line {long[0]}\."):
                [*opened(raw).pieces(header=False)]
        else:
            pieces = [*opened(raw).pieces(header=False)]
            assert b"".join(piece.data for piece in pieces) == raw
