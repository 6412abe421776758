from __future__ import annotations

import math

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.dataset.domain.statistics import (
    MAX_DISTINCT,
    QUANTILES,
    NumberColumn,
    Statistics,
    TextColumn,
)

numbers = st.floats(-1e12, 1e12).map(lambda value: round(value, 3))
values = st.none() | st.just(math.nan) | numbers


def described(
    column: list[float | None], *, blocks: int = 3, bins: int = 5, sample: int = 1000
) -> Statistics:
    counted = NumberColumn(rows=len(column), bins=bins, sample=sample)
    parts = [pa.array(part.tolist(), pa.float64()) for part in split(column, blocks)]
    for part in parts:
        counted.add(part)
    if counted.needs_a_second_look:
        for part in parts:
            counted.look_again(part)
    return counted.finish()


def split(column: list[float | None], blocks: int) -> list[np.ndarray]:
    return np.array_split(np.array(column, dtype=object), blocks)


@settings(deadline=None)
@given(st.lists(values, max_size=80), st.integers(1, 7), st.integers(1, 12), st.booleans())
def test_figures_are_numpys_however_the_rows_are_cut(
    column: list[float | None], blocks: int, bins: int, is_long: bool
) -> None:
    found = described(column, blocks=blocks, bins=bins, sample=10 if is_long else 1000)
    known = np.array([v for v in column if v is not None and not math.isnan(v)])
    assert (found.rows, found.null_count) == (len(column), len(column) - len(known))
    if not len(known):
        assert found == Statistics(rows=len(column), null_count=len(column))
        return
    assert (found.min, found.max) == (known.min(), known.max())
    assert found.mean == pytest.approx(known.mean(), rel=1e-9, abs=1e-3)
    if len(known) > 1:
        assert found.std == pytest.approx(known.std(ddof=1), rel=1e-6, abs=1e-3)
    else:
        assert found.std is None
    assert sum(found.histogram_counts) == len(known)
    assert len(found.histogram_edges) == len(found.histogram_counts) + 1
    edges = np.array(found.histogram_edges)
    assert list(found.histogram_counts) == np.histogram(known, edges)[0].tolist()
    if not is_long:
        assert found.quantiles == pytest.approx(np.quantile(known, QUANTILES), rel=1e-9, abs=1e-6)


def test_histograms_have_equal_widths_from_least_to_greatest() -> None:
    found = described([0.0, 1.0, 2.0, 3.0, 10.0], bins=5)
    assert found.histogram_edges == (0.0, 2.0, 4.0, 6.0, 8.0, 10.0)
    assert found.histogram_counts == (2, 2, 0, 0, 1)


def test_a_column_of_one_value_has_one_bin() -> None:
    found = described([7.0] * 9)
    assert (found.histogram_edges, found.histogram_counts) == ((7.0, 7.0), (9,))
    assert (found.mean, found.std, set(found.quantiles)) == (7.0, 0.0, {7.0})


def test_quantiles_beyond_the_sample_come_from_rows_spread_evenly() -> None:
    found = described([float(row) for row in range(10_000)], sample=100, blocks=7)
    assert found.quantiles == pytest.approx(np.array(QUANTILES) * 9_900)


def test_the_largest_numbers_neither_warn_nor_lie() -> None:
    found = described([-1.7e308, 1.7e308, 1.7e308], bins=4)
    assert (found.min, found.max, found.std) == (-1.7e308, 1.7e308, None)
    assert found.histogram_counts == (1, 0, 0, 2)


def test_different_texts_are_counted_up_to_a_thousand() -> None:
    few, many = TextColumn(), TextColumn()
    for block in (["a", "b", None], ["b", "c"]):
        few.add(pa.array(block))
    assert few.finish() == Statistics(rows=5, null_count=1, distinct=3)
    for start in (0, 700, 1400):
        many.add(pa.array([f"text {i}" for i in range(start, start + 700)]))
    assert many.finish().distinct == MAX_DISTINCT
