"""Memory for answers: all of an answer, whatever was expected, and never that of another."""

from __future__ import annotations

import io
from unittest.mock import Mock

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.shared.series.questdb import buffers
from services.shared.series.questdb.buffers import AnswerTooLong, Buffers

MIB = 1 << 20


@given(size=st.integers(0, 5 * MIB), likely=st.integers(0, 3 * MIB))
def test_an_answer_is_whole_however_long_it_was_thought_to_be(size: int, likely: int) -> None:
    sent = (b"0123456789" * (size // 10 + 1))[:size]
    assert Buffers().read(io.BytesIO(sent), likely).to_pybytes() == sent


def test_memory_in_use_is_not_given_to_another_answer() -> None:
    ours = Buffers()
    part = ours.read(io.BytesIO(b"first"), MIB).slice(1, 3)
    second = ours.read(io.BytesIO(b"second"), MIB)
    assert (part.to_pybytes(), second.to_pybytes()) == (b"irs", b"second")


def test_memory_of_an_answer_that_is_gone_is_used_again(monkeypatch: pytest.MonkeyPatch) -> None:
    mapped = Mock(wraps=buffers._mapped)
    monkeypatch.setattr(buffers, "_mapped", mapped)
    ours = Buffers()
    for sent in (b"first", b"second", b"third"):
        assert ours.read(io.BytesIO(sent), MIB).to_pybytes() == sent
    assert mapped.call_count == 1


def test_an_answer_beyond_the_most_is_refused() -> None:
    with pytest.raises(AnswerTooLong):
        Buffers().read(io.BytesIO(b"x" * 11), MIB, most=10)
