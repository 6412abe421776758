from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from services.dataset.domain.columns import Role
from services.dataset.formats import describe
from tests.unit.dataset_formats.files import Files

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


def test_columns_that_do_not_vary_are_warned_of() -> None:
    empty = pa.nulls(ROWS, pa.float64())
    holes = pa.array([5.0, None] * (ROWS // 2))
    found = describe(table(A=np.full(ROWS, 0.1), B=empty, C=noise(), D=holes, TGT=noise()))
    assert found.warnings == (
        "Column 'A' has the same value in every row.",
        "Column 'B' is empty.",
        "Column 'D' has the same value in every row that has one.",
    )


@pytest.mark.parametrize(
    "content",
    [
        "Date,Open,High,Low,Close\n2024-05-01,1,2,.5,1\n2024-05-02,2,3,1.5,2.5\n",
        "Date,Open,High,Low,Close,Volume\n2024-05-01,1,2,.5,1,\n2024-05-02,2,3,1.5,2.5,\n",
    ],
)
def test_bars_without_volume_are_told_once(files: Files, content: str) -> None:
    parsed = files.bars(content)
    assert "There is no volume: it is null in every row." in parsed.notes
    assert describe(parsed.table).warnings == ()


def test_duplicated_columns_are_warned_of() -> None:
    same, text = noise(), ["a", "b"] * (ROWS // 2)
    found = describe(table(A=same, B=noise(), C=same.copy(), D=text, E=text))
    assert found.warnings == (
        "Columns 'A', 'C' hold the same values.",
        "Columns 'D', 'E' hold the same values.",
    )


def test_zeros_of_either_sign_are_the_same_value() -> None:
    base = np.where(np.arange(ROWS) % 2, noise(), 0.0)
    assert len(describe(table(A=base, B=np.where(base == 0, -0.0, base))).warnings) == 1


@pytest.mark.parametrize("scale", [1e-200, 1.0, 1e200])
def test_the_correlation_told_is_pearson_s_over_rows_with_both(scale: float) -> None:
    target = noise()
    feature = 0.03 * noise() - target
    feature[::7] = np.nan
    (warning,) = describe(table(A=feature * scale, TGT=target + 100)).warnings
    both = np.isfinite(feature)
    expected = np.corrcoef(feature[both], target[both])[0, 1]
    assert f"has a correlation of {expected:.6f} with 'TGT'" in warning


def test_a_thousand_columns_are_described() -> None:
    columns = {f"V{i}": noise() for i in range(1000)}
    target = noise()
    found = describe(table(**columns, COPY=target * 2, TGT=target))
    assert len(found.roles) == 1002
    assert ["'COPY'" in warning for warning in found.warnings] == [True]


def test_a_thousand_targets_in_disguise_are_a_hundred_warnings() -> None:
    target = noise()
    copies = {f"TGT{i}": target for i in range(40)} | {f"V{i}": target for i in range(40)}
    warnings = describe(table(**copies)).warnings
    assert len([warning for warning in warnings if "disguise" in warning]) == 100
    assert "There are more warnings of this kind." in warnings
