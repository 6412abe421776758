from __future__ import annotations

from unittest.mock import patch

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.dataset.formats import FileRefused, Options, text
from services.dataset.formats.text import line_blocks, text_of

BLOCKS = st.integers(1, 40)
LINES = st.lists(
    st.tuples(
        st.text(st.characters(codec="utf-8", categories=["L", "N"]), min_size=1, max_size=9),
        st.sampled_from(["\n", "\r\n", "\r\r\n"]),
    ),
    min_size=1,
    max_size=12,
)


@given(LINES, BLOCKS)
def test_lines_end_with_one_newline_wherever_the_blocks_are_cut(
    lines: list[tuple[str, str]], block: int
) -> None:
    raw = "".join(words + ",1" + end for words, end in lines).encode()
    with patch.object(text, "_BLOCK", block):
        read = text_of(raw, Options(separator=","))
    assert read.data == "".join(f"{words},1\n" for words, _ in lines).encode()
    assert read.places.numbers.tolist() == [*range(1, len(lines) + 1)]


@given(LINES, BLOCKS)
def test_blocks_are_whole_lines_and_no_longer_than_they_must_be(
    lines: list[tuple[str, str]], block: int
) -> None:
    data = "".join(words + end for words, end in lines).encode()
    with patch.object(text, "_BLOCK", block):
        blocks = list(line_blocks(data))
    assert b"".join(piece for _, piece in blocks) == data
    assert all(data[start : start + len(piece)] == piece for start, piece in blocks)
    longest = max(map(len, data.split(b"\n"))) + 1
    assert all(piece.endswith(b"\n") and len(piece) <= block + longest for _, piece in blocks)


@pytest.mark.parametrize("block", [1, 1000])
def test_a_byte_that_is_no_utf_8_is_found_in_any_block(block: int) -> None:
    raw = "Date,Ä\n".encode() + b"1,2\n" * 20 + b"1,\xff\n" + b"1,2\n" * 20
    with (
        patch.object(text, "_BLOCK", block),
        pytest.raises(FileRefused, match="line 22 has the byte 0xff"),
    ):
        text_of(raw, Options())


def test_a_carriage_return_alone_ends_lines_when_there_is_no_newline() -> None:
    assert text_of(b"A,B\r1,2\r", Options()).data == b"A,B\n1,2\n"
