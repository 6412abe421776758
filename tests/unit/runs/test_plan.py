from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.runs.domain.feasibility import insist, make_folds, propose, window_cautions
from services.runs.domain.plan import (
    Caution,
    Facts,
    Span,
    Windows,
    boundary_rows,
    distinct_rows,
    fold,
    with_times,
)
from services.shared.errors import InvalidRequest

DOMAIN_CHECK = Windows(
    train_size=1500, test_size=100, train_test_gap=9, fold_step=100, initial_offset=500
)
SMALL = Windows(train_size=1500, test_size=100, train_test_gap=9, fold_step=100)


def facts(rows: int, *, lookback: int = 20) -> Facts:
    return Facts(rows=rows, lookback_rows=lookback, lookahead_rows=6, bar_interval_ms=1000)


def refused(windows: Windows, known: Facts) -> InvalidRequest:
    with pytest.raises(InvalidRequest) as caught:
        make_folds(windows, known)
    return caught.value


@st.composite
def some_windows(draw: st.DrawFn) -> Windows:
    return Windows(
        train_size=draw(st.integers(1, 900)),
        test_size=draw(st.integers(1, 60)),
        train_test_gap=draw(st.integers(0, 30)),
        fold_step=draw(st.integers(1, 90)),
        initial_offset=draw(st.integers(0, 200)),
        fit_share=Decimal(draw(st.integers(1, 99))) / 100,
    )


@st.composite
def trainable_windows(draw: st.DrawFn) -> Windows:
    windows = draw(some_windows())
    share = Decimal(draw(st.integers(20, 80))) / 100
    return replace(windows, train_size=windows.train_size + 700, fit_share=share)


def test_the_check_value_of_the_domain_gives_29_folds() -> None:
    folds = make_folds(DOMAIN_CHECK, facts(5000))
    assert len(folds) == 29
    assert folds[-1].test == Span(4809, 4909)


def test_one_row_too_few_is_no_fold_and_the_error_proposes_windows_that_fit() -> None:
    assert SMALL.count(1608) == 0
    assert SMALL.count(1609) == 1
    error = refused(SMALL, facts(1608))
    assert error.reason == "TOO_FEW_ROWS"
    assert "need 1609 rows for one fold, and there are 1608; train_size 959" in str(error)


def test_an_offset_that_leaves_too_few_rows_is_named() -> None:
    sentence = str(refused(replace(SMALL, initial_offset=9_000), facts(5000)))
    assert "rows (initial_offset is 9000 of them) for one fold, and there are 5000" in sentence
    assert "initial_offset 0, train_size" in sentence


def test_seven_tenths_of_ninety_are_sixty_three() -> None:
    assert Windows(train_size=90, fit_share=Decimal("0.7")).fit_rows == 63


def test_the_gap_also_separates_fit_and_validation_at_the_expense_of_validation() -> None:
    first = fold(SMALL, 0)
    assert (first.fit, first.validation) == (Span(0, 1200), Span(1209, 1500))
    assert first.test == Span(1509, 1609)


def test_labels_of_chosen_folds_do_not_shift_their_windows() -> None:
    every = make_folds(DOMAIN_CHECK, facts(5000))
    some = make_folds(
        Windows(
            train_size=1500,
            test_size=100,
            fold_step=100,
            initial_offset=500,
            start_fold=3,
            end_fold=5,
        ),
        facts(5000),
    )
    assert some == every[3:5]


@pytest.mark.parametrize(
    ("start", "end", "field"),
    [(29, None, "spec.walk_forward.start_fold"), (0, 30, "spec.walk_forward.end_fold")],
)
def test_folds_that_do_not_exist_are_refused(start: int, end: int | None, field: str) -> None:
    chosen = Windows(
        train_size=1500,
        test_size=100,
        fold_step=100,
        initial_offset=500,
        start_fold=start,
        end_fold=end,
    )
    assert [v.field for v in refused(chosen, facts(5000)).violations] == [field]


def test_a_training_window_shorter_than_the_lookback_is_refused() -> None:
    error = refused(SMALL, facts(5000, lookback=1501))
    assert "fewer rows than the 1501 bars the indicators look back" in str(error)


def test_too_few_fitted_and_validation_rows_are_told_together() -> None:
    tiny = Windows(train_size=120, test_size=10, fold_step=10)
    error = refused(tiny, facts(5000))
    assert error.reason == "WINDOWS_TOO_SMALL"
    assert "leaves 96 rows to fit" in str(error)
    assert "leaves 15 rows to validate" in str(error)


def test_a_run_of_too_many_folds_is_refused() -> None:
    assert "10000 are the most" in str(
        refused(Windows(train_size=600, test_size=1, fold_step=1), facts(20_000))
    )


def test_so_few_rows_that_nothing_fits_are_refused_without_a_proposal() -> None:
    assert propose(SMALL, facts(200)) is None
    assert "no windows over so few rows" in str(refused(SMALL, facts(200)))


def test_overlapping_and_distant_test_windows_are_cautioned() -> None:
    assert window_cautions(SMALL) == ()
    near = window_cautions(Windows(test_size=100, fold_step=50))
    far = window_cautions(Windows(test_size=100, fold_step=150))
    assert [c.reason for c in near + far] == ["TEST_WINDOWS_OVERLAP", "TEST_WINDOWS_APART"]


def test_a_strict_plan_turns_cautions_into_refusals() -> None:
    caution = Caution("ANY", "A reason to look twice.")
    insist(Windows(), [caution])
    insist(Windows(strict=True), [])
    with pytest.raises(InvalidRequest, match="A reason to look twice") as caught:
        insist(Windows(strict=True), [caution])
    assert caught.value.reason == "STRICT_PLAN"


@given(some_windows(), st.integers(0, 3000))
def test_the_count_is_what_laying_out_folds_one_by_one_gives(windows: Windows, rows: int) -> None:
    laid = 0
    while fold(windows, laid).test.end <= rows:
        laid += 1
    assert windows.count(rows) == laid


@given(trainable_windows(), st.integers(0, 1000))
def test_planned_folds_lie_inside_the_data_and_never_leak(windows: Windows, spare: int) -> None:
    rows = windows.rows_for_one_fold + spare
    gap = windows.train_test_gap
    for number, planned in enumerate(make_folds(windows, facts(rows))):
        assert planned.number == number
        assert planned.train.start == planned.fit.start
        assert planned.validation.start - planned.fit.end == gap
        assert planned.train.end == planned.validation.end
        assert planned.test.start - planned.train.end == gap
        assert 0 <= planned.train.start < planned.fit.end
        assert planned.test.end <= rows
        assert min(len(planned.fit), len(planned.validation)) >= 100
        assert len(planned.test) == windows.test_size


@given(some_windows(), st.integers(0, 3000), st.integers(0, 500))
def test_proposed_windows_always_fit(windows: Windows, rows: int, lookback: int) -> None:
    known = facts(rows, lookback=lookback)
    proposed = propose(windows, known)
    if proposed is not None:
        assert make_folds(proposed, known)


@given(some_windows())
def test_the_time_of_an_end_is_its_last_row_plus_one_bar(windows: Windows) -> None:
    folds = [fold(windows, number) for number in range(3)]
    times = {row: 1000 * row + 77 for row in boundary_rows(folds)}
    for rows, planned in zip(folds, with_times(folds, times, 1000), strict=True):
        for window in (planned.train, planned.fit, planned.validation, planned.test):
            start, end = window.rows.start, window.rows.end
            assert window.times_ms == Span(1000 * start + 77, 1000 * end + 77)
        assert rows.test == planned.test.rows


@given(some_windows(), st.integers(1, 20))
def test_overlapping_test_rows_are_counted_once(windows: Windows, count: int) -> None:
    tests = [fold(windows, number).test for number in range(count)]
    rows = {row for span in tests for row in range(span.start, span.end)}
    assert distinct_rows(tests) == len(rows)
