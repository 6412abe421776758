from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.http import accept

JSON, CSV, ARROW = "application/json", "text/csv", "application/vnd.apache.arrow.stream"
OFFERED = (JSON, CSV, ARROW)


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("", JSON),
        ("*/*", JSON),
        ("text/csv", CSV),
        ("TEXT/CSV;charset=utf-8", CSV),
        ("text/*", CSV),
        ("text/html", JSON),
        ("text/csv, application/json", CSV),
        ("application/json, text/csv", JSON),
        ("text/csv, */*", CSV),
        ("text/csv, application/json;q=0.1", CSV),
        ("application/json;q=0.1, text/csv;q=0.2", CSV),
        ("application/json;q=0, text/csv", CSV),
        ("application/json;q=0, */*", CSV),
        (f"text/csv;q=0.5, {ARROW} ; q=0.9", ARROW),
        ("application/*;q=0.2, application/json;q=0.1, text/csv;q=0.15", ARROW),
        ("text/csv;q=often", CSV),
    ],
)
def test_the_type_liked_best_is_taken(header: str, expected: str) -> None:
    assert accept.best(header, OFFERED) == expected


@given(st.text())
def test_any_header_has_an_answer(header: str) -> None:
    assert accept.best(header, OFFERED) in OFFERED
