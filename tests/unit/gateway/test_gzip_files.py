from __future__ import annotations

import gzip
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.http import gzip_files
from services.shared.errors import InvalidRequest, TooLarge

LIMIT = 1 << 30
MIB = 1 << 20


def read(data: bytes, limit: int = LIMIT) -> bytes:
    return b"".join(gzip_files.pieces(io.BytesIO(data), "ohlcv", limit))


@given(st.binary(max_size=2000))
def test_a_file_that_is_not_packed_comes_as_it_is(data: bytes) -> None:
    assert read(b"x" + data) == b"x" + data


@given(st.lists(st.binary(max_size=500), min_size=1, max_size=4))
def test_packed_files_come_unpacked_also_several_in_one(members: list[bytes]) -> None:
    assert read(b"".join(gzip.compress(m) for m in members)) == b"".join(members)


def test_pieces_are_small_however_well_the_file_packs() -> None:
    data = bytes(range(256)) * (40 * MIB // 256)
    pieces = list(gzip_files.pieces(io.BytesIO(gzip.compress(data)), "ohlcv", LIMIT))
    assert b"".join(pieces) == data
    assert max(map(len, pieces)) <= gzip_files.PIECE_BYTES


def test_more_than_the_limit_is_refused_before_it_is_unpacked() -> None:
    packed = io.BytesIO(gzip.compress(bytes(20 * MIB)))
    given = gzip_files.pieces(packed, "ohlcv", 3 * MIB)
    assert [len(next(given)) for _ in range(3)] == [MIB, MIB, MIB]
    with pytest.raises(TooLarge, match="limit of 3145728 bytes"):
        next(given)


def test_a_bomb_is_refused_by_its_ratio() -> None:
    with pytest.raises(TooLarge, match="200 times"):
        read(gzip.compress(bytes(200 * MIB)))


def test_a_file_that_stops_early_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="stops before its end"):
        read(gzip.compress(b"bars" * 1000)[:-9])


def test_a_file_that_only_begins_like_gzip_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="broken gzip"):
        read(b"\x1f\x8b" + b"not gzip at all")
