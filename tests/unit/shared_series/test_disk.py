from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.shared.series.disk import WRITE_BYTES, SmallWrites

SIZES = st.one_of(st.integers(0, 10), st.integers(WRITE_BYTES - 3, 3 * WRITE_BYTES))


@given(st.lists(SIZES, max_size=5))
def test_a_file_in_small_writes_holds_what_was_given(
    tmp_path_factory: pytest.TempPathFactory, sizes: list[int]
) -> None:
    path = tmp_path_factory.mktemp("disk") / "file"
    pieces = [bytes([number]) * size for number, size in enumerate(sizes)]
    with SmallWrites(path) as file:
        assert [file.write(piece) for piece in pieces] == sizes
    assert path.read_bytes() == b"".join(pieces)
