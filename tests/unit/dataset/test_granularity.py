"""What people may call the distance of bars."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.dataset.domain.calendars import CalendarName
from services.dataset.domain.granularity import contradiction, granularity_violation
from services.dataset.domain.times import duration
from tests.unit.dataset.bars import hourly
from tests.unit.dataset.test_verification import manifest_of

HOURLY = manifest_of(hourly(100))


@pytest.mark.parametrize("text", ["1h", "15m", "60min", "4h", "1d", "1w", "1mo", "2y", "100ms"])
def test_a_number_and_a_unit_are_taken(text: str) -> None:
    assert granularity_violation(text) is None


@given(st.integers(1, 10**12))
def test_what_the_bars_are_called_by_themselves_is_taken(milliseconds: int) -> None:
    assert granularity_violation(duration(milliseconds)) is None


@pytest.mark.parametrize(
    "text", ["5x", "h", "0h", "01h", "-1h", "1.5h", "1H", "1 h", "1h\n", "\u0661h"]
)
def test_anything_else_is_refused_with_the_value_and_the_rule(text: str) -> None:
    message = granularity_violation(text) or ""
    assert message.startswith(
        f"is {text!r}, and not a whole number from 1 on with one of ms, s, m,"
    )


def test_a_long_text_is_shortened_in_the_message() -> None:
    assert len(granularity_violation("x" * 5000) or "") < 200


@pytest.mark.parametrize("text", ["1h", "60m", "60min", "3600s", "1mo"])
def test_bars_agree_with_their_distance_and_with_what_has_no_fixed_length(text: str) -> None:
    assert contradiction(text, HOURLY) is None


def test_bars_contradict_another_distance_unless_they_may_lie_anywhere() -> None:
    message = contradiction("4h", HOURLY)
    assert message == "is 4h, and most bars are 1h apart"
    observed = manifest_of(hourly(100), calendar=CalendarName.OBSERVED)
    assert contradiction("4h", observed) is None
