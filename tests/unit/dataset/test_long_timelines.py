"""Times are gone over piece by piece: what is found does not depend on where they are cut."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.dataset.domain import times as module
from services.dataset.domain.calendars import CalendarName
from services.dataset.domain.timeline import Clock, GapPolicy, read_timeline
from services.dataset.domain.times import HOUR_MS
from services.shared.errors import InvalidRequest
from tests.unit.dataset.bars import MONDAY, eurusd_2017, hourly, no_exchange

CLOCKS = [None, CalendarName.ALWAYS, CalendarName.FX, CalendarName.OBSERVED]


def outcome(bars: np.ndarray, indicators: np.ndarray | None, clock: Clock) -> object:
    try:
        return read_timeline(bars, indicators, clock, no_exchange)
    except InvalidRequest as error:
        return str(error)


@given(
    rows=st.integers(12, 60),
    left_out=st.sets(st.integers(1, 59), max_size=6),
    moved=st.dictionaries(st.integers(0, 59), st.integers(-HOUR_MS, HOUR_MS), max_size=2),
    lookback=st.integers(0, 5),
    strange=st.one_of(st.none(), st.integers(0, 40)),
    calendar=st.sampled_from(CLOCKS),
    policy=st.sampled_from(GapPolicy),
    cut=st.integers(2, 9),  # more than the one row that comes again
)
@settings(max_examples=300, deadline=None)
def test_a_timeline_is_the_same_however_its_times_are_cut(
    rows: int,
    left_out: set[int],
    moved: dict[int, int],
    lookback: int,
    strange: int | None,
    calendar: CalendarName | None,
    policy: GapPolicy,
    cut: int,
) -> None:
    bars = hourly(rows)
    for row, by in moved.items():
        if row < rows:
            bars[row] += by
    bars = np.delete(bars, [row for row in left_out if row < rows])
    indicators = bars[lookback:-1].copy()
    if strange is not None and strange < len(indicators):
        indicators = np.delete(indicators, strange)
    clock = Clock(calendar=calendar, gap_policy=policy)
    whole = outcome(bars, indicators, clock)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(module, "BLOCK_ROWS", cut)
        assert outcome(bars, indicators, clock) == whole


@pytest.mark.parametrize("cut", [7, 100, 1000])
def test_the_gaps_of_a_year_are_the_same_however_it_is_cut(
    monkeypatch: pytest.MonkeyPatch, cut: int
) -> None:
    monkeypatch.setattr(module, "BLOCK_ROWS", cut)
    timeline = read_timeline(eurusd_2017(), None, Clock(), no_exchange).timeline
    assert timeline.calendar == CalendarName.FX
    assert sum(gap.missing for gap in timeline.gaps) == 15


def test_times_in_a_mapped_file_are_read_as_others_are(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "BLOCK_ROWS", 64)
    path = tmp_path_factory.mktemp("times") / "times"
    mapped = np.memmap(path, np.int64, "w+", shape=(1000,))
    mapped[:] = MONDAY + HOUR_MS * np.arange(1000)
    assert outcome(mapped.view(np.ndarray), None, Clock()) == outcome(hourly(1000), None, Clock())
