from __future__ import annotations

import math

import orjson
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.http import conditional, stream

floats = st.floats() | st.none()
texts = st.text(st.characters(codec="utf-8")) | st.none()


def seen(value: object) -> object:
    """As JSON has it."""
    return None if isinstance(value, float) and not math.isfinite(value) else value


@given(st.lists(st.tuples(st.integers(-(2**63), 2**63 - 1), floats, texts), min_size=1))
def test_rows_as_objects_are_the_rows(rows: list[tuple[int, float | None, str | None]]) -> None:
    schema = {"timestamp_ms": pl.Int64, 'a "b"': pl.Float64, "text": pl.String}
    frame = stream.finite(pl.DataFrame(rows, schema=schema, orient="row"))
    read = orjson.loads(b"[" + stream.as_objects(frame) + b"]")
    assert [tuple(row.values()) for row in read] == [tuple(map(seen, row)) for row in rows]
    assert all(list(row) == list(schema) for row in read)


@given(st.lists(st.tuples(st.integers(-(2**63), 2**63 - 1), floats), min_size=1))
def test_rows_as_arrays_are_the_rows(rows: list[tuple[int, float | None]]) -> None:
    schema = {"bar_index": pl.Int64, "prediction": pl.Float64}
    frame = stream.finite(pl.DataFrame(rows, schema=schema, orient="row"))
    read = orjson.loads(b"[" + stream.as_arrays(frame) + b"]")
    assert read == [list(map(seen, row)) for row in rows]


def test_an_etag_depends_on_all_it_is_made_of() -> None:
    assert conditional.tag("a", 1) == conditional.tag("a", 1)
    assert len({conditional.tag("a", 1), conditional.tag("a", 2), conditional.tag("b", 1)}) == 3


def test_an_etag_is_of_one_version_of_the_program(monkeypatch: pytest.MonkeyPatch) -> None:
    before = conditional.tag("a")
    monkeypatch.setattr(conditional, "_PROGRAM", "0.0.0")
    assert conditional.tag("a") != before


@pytest.mark.parametrize("known", ["*", ' "x"', 'W/"x"', '"y", "x"'])
def test_a_tag_the_caller_has_is_known(known: str) -> None:
    assert conditional.matches(known, '"x"')
    assert not conditional.matches(known.replace("x", "z").replace("*", ""), '"x"')
