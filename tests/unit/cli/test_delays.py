from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gateway.cli.supervisor.child import LONGEST_DELAY_SECONDS, delay_after


@given(st.integers(1, 500))
def test_each_death_waits_at_least_as_long_and_never_too_long(failures: int) -> None:
    assert 0 < delay_after(failures) <= delay_after(failures + 1) <= LONGEST_DELAY_SECONDS


def test_the_first_deaths_wait_doubles() -> None:
    assert [delay_after(n) for n in (1, 2, 3)] == [0.2, 0.4, 0.8]
