"""Whether windows can be run over a dataset at all, and what to say when they cannot."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from services.runs.domain.plan import Caution, Facts, FoldRows, Windows, fold
from services.shared.errors import InvalidRequest, Violation

MAX_FOLDS: Final = 10_000
MIN_ROWS: Final = 100  # fitted, and validation rows, of every fold


def make_folds(windows: Windows, facts: Facts) -> tuple[FoldRows, ...]:
    """The folds to compute. Raises InvalidRequest with everything that forbids them."""
    _refuse_windows(windows, facts)
    total = windows.count(facts.rows)
    if total == 0:
        raise InvalidRequest([_too_few_rows(windows, facts)], reason="TOO_FEW_ROWS")
    _refuse_choice(windows, total)
    end = total if windows.end_fold is None else windows.end_fold
    return tuple(fold(windows, number) for number in range(windows.start_fold, end))


def _refuse_windows(windows: Windows, facts: Facts) -> None:
    wrong = []
    if windows.train_size < facts.lookback_rows:
        wrong.append(
            Violation(
                "spec.walk_forward.train_size",
                f"is {windows.train_size}, fewer rows than the {facts.lookback_rows} bars"
                " the indicators look back",
            )
        )
    if windows.fit_rows < MIN_ROWS:
        wrong.append(
            Violation(
                "spec.walk_forward.train_size",
                f"of {windows.train_size} leaves {windows.fit_rows} rows to fit at a share of"
                f" {windows.fit_share}, and {MIN_ROWS} are needed",
            )
        )
    if windows.validation_rows < MIN_ROWS:
        wrong.append(
            Violation(
                "spec.walk_forward.train_size",
                f"of {windows.train_size} leaves {max(windows.validation_rows, 0)} rows to validate"
                f" after {windows.fit_rows} fitted ones and the gap of {windows.train_test_gap},"
                f" and {MIN_ROWS} are needed",
            )
        )
    if wrong:
        raise InvalidRequest(wrong, reason="WINDOWS_TOO_SMALL")


def _refuse_choice(windows: Windows, total: int) -> None:
    wrong = []
    if windows.start_fold >= total:
        wrong.append(
            Violation(
                "spec.walk_forward.start_fold",
                f"is {windows.start_fold}, but the windows give {total} folds, numbered from 0",
            )
        )
    if windows.end_fold is not None and windows.end_fold > total:
        wrong.append(
            Violation(
                "spec.walk_forward.end_fold",
                f"is {windows.end_fold}, but the windows give {total} folds",
            )
        )
    chosen = (total if windows.end_fold is None else windows.end_fold) - windows.start_fold
    if chosen > MAX_FOLDS:
        wrong.append(
            Violation(
                "spec.walk_forward.fold_step",
                f"of {windows.fold_step} gives {chosen} folds, and {MAX_FOLDS} are the most a run"
                " may have",
            )
        )
    if wrong:
        raise InvalidRequest(wrong, reason="FOLDS_OUT_OF_RANGE")


def _too_few_rows(windows: Windows, facts: Facts) -> Violation:
    offset = windows.initial_offset
    before = f" (initial_offset is {offset} of them)" if offset else ""
    need = f"need {windows.rows_for_one_fold} rows{before} for one fold, and there are {facts.rows}"
    fitting = propose(windows, facts)
    if fitting is None:
        return Violation("spec.walk_forward", f"{need}; no windows over so few rows can be trusted")
    moved = fitting.initial_offset != offset
    instead = f"initial_offset {fitting.initial_offset}, " if moved else ""
    return Violation(
        "spec.walk_forward",
        f"{need}; {instead}train_size {fitting.train_size}, test_size {fitting.test_size} and"
        f" fold_step {fitting.fold_step} would fit, with {fitting.count(facts.rows)} folds",
    )


def propose(windows: Windows, facts: Facts) -> Windows | None:
    """Smaller windows with the same gap that fit, with several folds where rows allow."""
    offset = windows.initial_offset if windows.initial_offset < facts.rows // 2 else 0
    usable = facts.rows - offset - windows.train_test_gap
    smallest = _smallest_train_size(windows, facts)
    if smallest is None or usable <= smallest:
        return None
    train = max(smallest, min(windows.train_size, usable * 3 // 5))
    test = max(1, min(windows.test_size, (usable - train) // 5))
    return replace(
        windows,
        initial_offset=offset,
        train_size=train,
        test_size=test,
        fold_step=test,
        start_fold=0,
        end_fold=None,
    )


def _smallest_train_size(windows: Windows, facts: Facts) -> int | None:
    def enough(size: int) -> bool:
        sized = replace(windows, train_size=size)
        return min(sized.fit_rows, sized.validation_rows) >= MIN_ROWS

    sizes = range(facts.lookback_rows, facts.rows)
    found = bisect_left(sizes, True, key=enough)
    return sizes[found] if found < len(sizes) else None


def window_cautions(windows: Windows) -> tuple[Caution, ...]:
    if windows.fold_step < windows.test_size:
        return (
            Caution(
                "TEST_WINDOWS_OVERLAP",
                f"Steps of {windows.fold_step} rows with {windows.test_size} test rows overlap:"
                " pooled figures count each row once, as the earliest fold predicted it.",
            ),
        )
    if windows.fold_step > windows.test_size:
        return (
            Caution(
                "TEST_WINDOWS_APART",
                f"Steps of {windows.fold_step} rows with {windows.test_size} test rows leave"
                f" {windows.fold_step - windows.test_size} rows between folds unpredicted.",
            ),
        )
    return ()


def insist(windows: Windows, cautions: Sequence[Caution]) -> None:
    """Raises InvalidRequest when the windows are strict and there is any caution."""
    if windows.strict and cautions:
        wrong = [
            Violation("spec.walk_forward.strict", f"forbids this: {c.message[:-1]}")
            for c in cautions
        ]
        raise InvalidRequest(wrong, reason="STRICT_PLAN")
