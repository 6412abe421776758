from __future__ import annotations

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from services.shared.series.questdb.memory import (
    LEAST_SLICE_BYTES,
    READ_BYTES,
    SLICE_BYTES,
    Claim,
    ReadMemory,
    Sizing,
    in_use,
)


@given(st.lists(st.integers(0, 39), max_size=200))
def test_all_readers_together_stay_within_their_memory(asking: list[int]) -> None:
    """In whatever order they come, pause and go on."""
    memory = ReadMemory()
    claims = [Claim(memory) for _ in range(40)]
    slices = dict.fromkeys(range(40), (0, 0))
    for reader in asking:
        at_once = reader % 2 == 0
        size = claims[reader].next_slice(is_decoded_at_once=at_once)
        slices[reader] = slices[reader][1], size
        held = sum(
            in_use(used, reader % 2 == 0) + coming for reader, (used, coming) in slices.items()
        )
        assert held <= READ_BYTES - memory.free
        readers = sum(1 for _, coming in slices.values() if coming)
        assert held <= READ_BYTES + readers * 4 * LEAST_SLICE_BYTES
    for claim in claims:
        claim.end()
    assert memory.free == READ_BYTES


def test_one_reader_has_the_largest_slices_and_many_have_alike() -> None:
    memory = ReadMemory()
    alone = Claim(memory)
    assert [alone.next_slice() for _ in range(5)] == [SLICE_BYTES] * 5
    others = [Claim(memory) for _ in range(4)]
    for _ in range(20):
        sizes = [claim.next_slice() for claim in (alone, *others)]
    assert LEAST_SLICE_BYTES < max(sizes) <= 1.5 * min(sizes)


def test_slices_of_texts_begin_small_and_grow_by_what_was_seen() -> None:
    texts = pa.table({"text": ["x" * 100] * 1000})
    sizing = Sizing(Claim(ReadMemory()), texts.schema)
    rows = []
    for _ in range(6):
        rows.append(sizing.next())
        sizing.fitted(texts.num_rows, texts.nbytes)
    assert rows == [1000, 4000, 16_000, 64_000, SLICE_BYTES // 104, SLICE_BYTES // 104]


def test_slices_of_texts_that_repeat_are_sized_by_their_rows() -> None:
    texts = pa.record_batch({"text": ["x" * 100] * 1000})
    sizing = Sizing(Claim(ReadMemory()), texts.schema)
    for _ in range(6):
        sizing.next()
        sizing.fitted(texts.num_rows, 4000)
        sizing.decoded(texts)
    assert sizing.next() == SLICE_BYTES // 104


def test_a_slice_that_was_too_long_is_asked_for_in_smaller_ones_down_to_a_row() -> None:
    sizing = Sizing(Claim(ReadMemory()), pa.schema([("text", pa.string())]))
    rows = []
    for _ in range(7):
        rows.append(sizing.next())
        assert (sizing.most_bytes is None) == (rows[-1] == 1)
        sizing.did_not_fit()
    assert rows == [1000, 250, 62, 15, 3, 1, 1]


def test_slices_of_numbers_are_as_large_as_they_may_be_from_the_first() -> None:
    wide = pa.schema([(f"c{i}", pa.float64()) for i in range(1000)])
    sizing = Sizing(Claim(ReadMemory()), wide)
    assert sizing.next() == SLICE_BYTES // 8126
    assert sizing.most_bytes is None
