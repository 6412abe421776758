from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from services.trainer.domain import Floats, TransformKind
from services.trainer.transform import LARGEST_TANH, Transform

KINDS = list(TransformKind)
targets = hnp.arrays(
    np.float64, st.integers(2, 50), elements=st.integers(-1000, 1000).map(lambda n: n / 8)
).filter(lambda a: np.ptp(a) > 0)


@given(targets, st.sampled_from(KINDS), st.floats(0.001, 0.6))
def test_the_inverse_undoes_the_transform(target: Floats, kind: TransformKind, k: float) -> None:
    transform = Transform.fitted(kind, k=k, target=target)
    near = np.abs(target - transform.mean) < 4 * transform.std  # farther out tanh is cut off
    back = transform.inverse(transform.apply(target))
    np.testing.assert_allclose(back[near], target[near], rtol=1e-6, atol=1e-6 * np.ptp(target))


def test_standardize_uses_the_population_standard_deviation() -> None:
    target = np.array([1.0, 3.0])
    transform = Transform.fitted(TransformKind.STANDARDIZE, k=0.5, target=target)
    assert transform.apply(target).tolist() == [-1.0, 1.0]


def test_tanh_with_a_tiny_k_is_standardize_to_six_digits() -> None:
    target = np.random.default_rng(0).normal(3, 2, 1000)
    small = Transform.fitted(TransformKind.TANH, k=0.001, target=target).apply(target) / 0.001
    plain = Transform.fitted(TransformKind.STANDARDIZE, k=0.001, target=target).apply(target)
    np.testing.assert_allclose(small, plain, rtol=6e-6)


@pytest.mark.parametrize("beyond", [1.0, 7.0, -7.0])
def test_a_prediction_beyond_what_tanh_reaches_is_cut_off(beyond: float) -> None:
    transform = Transform(kind=TransformKind.TANH, mean=1.0, std=2.0, k=0.5)
    expected = np.arctanh(np.sign(beyond) * LARGEST_TANH) / 0.5 * 2 + 1
    assert transform.inverse(np.array([beyond]))[0] == pytest.approx(expected)


def test_only_the_fitted_part_decides_mean_and_scale() -> None:
    transform = Transform.fitted(TransformKind.STANDARDIZE, k=0.5, target=np.array([0.0, 2.0]))
    assert transform.apply(np.array([101.0])).tolist() == [100.0]
