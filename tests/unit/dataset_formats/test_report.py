from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from services.dataset.domain.columns import Role
from services.dataset.formats import describe
from services.dataset.formats.report import correlation

ROWS = 500
CHANCE = np.random.default_rng(1)


def table(**columns: object) -> pa.Table:
    return pa.table({"timestamp_ms": np.arange(ROWS), **columns})


def noise() -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    return CHANCE.normal(size=ROWS)


def test_targets_are_known_by_their_names_unless_given() -> None:
    found = describe(table(A=noise(), TGT_1=noise(), tgt2=noise(), target=noise(), T=["x"] * ROWS))
    assert found.roles == {
        "A": Role.FEATURE,
        "TGT_1": Role.TARGET,
        "tgt2": Role.TARGET,
        "target": Role.TARGET,
        "T": Role.EXTRA,
    }
    in_any_case = ("TARGET_6", "Target_12", "Tgt", "tGT_x")
    shouted = describe(table(A=noise(), **{name: noise() for name in in_any_case}))
    assert [name for name, role in shouted.roles.items() if role is Role.TARGET] == [*in_any_case]
    given = describe(table(A=noise(), TGT_1=noise()), ["A"])
    assert given.roles == {"A": Role.TARGET, "TGT_1": Role.FEATURE}


def test_bars_are_prices() -> None:
    bars = {name: noise() for name in ("open", "high", "low", "close", "volume", "spread")}
    roles = describe(table(**bars)).roles
    assert roles["close"] is roles["volume"] is Role.PRICE
    assert roles["spread"] is Role.EXTRA


def test_a_target_in_disguise_is_warned_of() -> None:
    target = noise()
    disguised = -3 * target + 7 + 0.01 * noise()
    related = target + 0.2 * noise()
    (warning,) = describe(table(A=disguised, B=related, C=noise(), TGT=target)).warnings
    assert "Feature 'A'" in warning
    assert "'TGT'" in warning
    assert "disguise" in warning


def test_nulls_do_not_hide_a_disguise() -> None:
    target = noise()
    feature = pa.array(np.where(np.arange(ROWS) % 3 == 0, np.nan, target), from_pandas=True)
    goal = pa.array(np.where(np.arange(ROWS) % 5 == 0, np.nan, target), from_pandas=True)
    (warning,) = describe(table(A=feature, TGT=goal)).warnings
    assert "Feature 'A'" in warning


def test_a_constant_column_is_warned_of() -> None:
    empty = pa.nulls(ROWS, pa.float64())
    found = describe(table(A=np.full(ROWS, 0.1), B=empty, C=noise(), TGT=noise()))
    assert found.warnings == (
        "Column 'A' has the same value in every row.",
        "Column 'B' has the same value in every row.",
    )


def test_duplicated_columns_are_warned_of() -> None:
    same, text = noise(), ["a", "b"] * (ROWS // 2)
    found = describe(table(A=same, B=noise(), C=same.copy(), D=text, E=text))
    assert found.warnings == (
        "Columns ['A', 'C'] hold the same values.",
        "Columns ['D', 'E'] hold the same values.",
    )


def test_zeros_of_either_sign_are_the_same_value() -> None:
    base = np.where(np.arange(ROWS) % 2, noise(), 0.0)
    assert len(describe(table(A=base, B=np.where(base == 0, -0.0, base))).warnings) == 1


@pytest.mark.parametrize("scale", [1e-200, 1.0, 1e200])
def test_correlation_is_pearson_s(scale: float) -> None:
    x, y = CHANCE.normal(size=(ROWS, 3)), CHANCE.normal(size=(ROWS, 2))
    y[:, 0] += x[:, 0]
    x[::7, 1] = np.nan
    found = correlation(x * scale, y + 100)
    for i in range(3):
        for j in range(2):
            both = np.isfinite(x[:, i])
            assert found[i, j] == pytest.approx(np.corrcoef(x[both, i], y[both, j])[0, 1])


def test_a_thousand_columns_are_described() -> None:
    columns = {f"V{i}": noise() for i in range(1000)}
    target = noise()
    found = describe(table(**columns, COPY=target * 2, TGT=target))
    assert len(found.roles) == 1002
    assert ["'COPY'" in warning for warning in found.warnings] == [True]
