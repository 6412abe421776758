"""The fold arithmetic: which rows each fold trains, validates and tests on.

The plan is made once, stored with the run and sent to the trainers, so nobody else
computes windows. Indices are indicator rows; every range is half-open.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal


@dataclass(frozen=True)
class Span:
    """Rows or milliseconds from `start` up to, not including, `end`."""

    start: int
    end: int

    def __len__(self) -> int:
        return self.end - self.start


@dataclass(frozen=True, kw_only=True)
class Windows:
    """Rolling windows in rows; folds are labelled by their ordinal over all that fit."""

    train_size: int = 10_000
    test_size: int = 200
    train_test_gap: int = 9
    fold_step: int = 200
    initial_offset: int = 0
    start_fold: int = 0
    end_fold: int | None = None
    strict: bool = False
    fit_share: Decimal = Decimal("0.8")

    @property
    def rows_for_one_fold(self) -> int:
        return self.initial_offset + self.train_size + self.train_test_gap + self.test_size

    @property
    def fit_rows(self) -> int:
        return int(self.fit_share * self.train_size)

    @property
    def validation_rows(self) -> int:
        return self.train_size - self.fit_rows - self.train_test_gap

    def count(self, rows: int) -> int:
        """How many folds fit into a table of so many rows."""
        spare = rows - self.rows_for_one_fold
        return 0 if spare < 0 else 1 + spare // self.fold_step


@dataclass(frozen=True, kw_only=True)
class FoldRows:
    """A fold's windows as indicator rows."""

    number: int
    train: Span
    fit: Span
    validation: Span
    test: Span

    @property
    def spans(self) -> tuple[Span, Span, Span, Span]:
        return self.train, self.fit, self.validation, self.test


@dataclass(frozen=True)
class Window:
    """Rows and their times; an end is the last row's time plus one bar."""

    rows: Span
    times_ms: Span


@dataclass(frozen=True, kw_only=True)
class PlannedFold:
    number: int
    train: Window
    fit: Window
    validation: Window
    test: Window


@dataclass(frozen=True)
class Caution:
    """A warning of the plan, kept with the run; `reason` is for programs."""

    reason: str
    message: str


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What the arithmetic needs to know of a dataset version."""

    rows: int
    lookback_rows: int
    lookahead_rows: int
    bar_interval_ms: int


def fold(windows: Windows, number: int) -> FoldRows:
    train_start = windows.initial_offset + number * windows.fold_step
    train_end = train_start + windows.train_size
    fit_end = train_start + windows.fit_rows
    test_start = train_end + windows.train_test_gap
    return FoldRows(
        number=number,
        train=Span(train_start, train_end),
        fit=Span(train_start, fit_end),
        validation=Span(fit_end + windows.train_test_gap, train_end),
        test=Span(test_start, test_start + windows.test_size),
    )


def boundary_rows(folds: Sequence[FoldRows]) -> list[int]:
    """The rows whose times the windows' times are made of; ordered, each once."""
    return sorted({row for f in folds for s in f.spans for row in (s.start, s.end - 1)})


def with_times(
    folds: Sequence[FoldRows], times_ms: Mapping[int, int], bar_interval_ms: int
) -> tuple[PlannedFold, ...]:
    """The folds with times, given the time of every boundary row."""

    def window(rows: Span) -> Window:
        return Window(rows, Span(times_ms[rows.start], times_ms[rows.end - 1] + bar_interval_ms))

    return tuple(
        PlannedFold(
            number=f.number,
            train=window(f.train),
            fit=window(f.fit),
            validation=window(f.validation),
            test=window(f.test),
        )
        for f in folds
    )


def distinct_rows(spans: Iterable[Span]) -> int:
    """Rows covered by spans in order of their start, each counted once."""
    covered, reached = 0, 0
    for span in spans:
        covered += max(0, span.end - max(span.start, reached))
        reached = max(reached, span.end)
    return covered
