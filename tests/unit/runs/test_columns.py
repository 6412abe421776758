from __future__ import annotations

from dataclasses import replace
from uuid import UUID

import pytest

from services.runs.domain.columns import Choice, Column, DatasetVersion, Role, choose
from services.runs.domain.plan import Facts, Windows
from services.shared.errors import InvalidRequest

RSI = Column(name="RSI", role=Role.FEATURE)
ADX = Column(name="ADX", role=Role.FEATURE)
NEXT = Column(name="TGT_NEXT", role=Role.TARGET, horizon_bars=6)
LATER = Column(name="TGT_LATER", role=Role.TARGET)
CLOSE = Column(name="close", role=Role.PRICE, indicator=False)
MARKET = Column(name="market", role=Role.EXTRA, numeric=False)
SPARE = Column(name="SPARE", role=Role.EXTRA)


def dataset(*columns: Column) -> DatasetVersion:
    return DatasetVersion(
        dataset_id=UUID(int=1),
        slug="eurusd_1h",
        version=2,
        content_hash="ab",
        facts=Facts(rows=5000, lookback_rows=20, lookahead_rows=7, bar_interval_ms=1000),
        columns=columns,
    )


BOTH = dataset(RSI, ADX, NEXT, LATER, CLOSE, MARKET, SPARE)


def chosen(
    known: DatasetVersion,
    target: str = "",
    features: tuple[str, ...] = (),
    horizon: int | None = None,
    gap: int = 9,
) -> Choice:
    return choose(
        known,
        target=target,
        features=features,
        horizon_bars=horizon,
        windows=Windows(train_test_gap=gap),
    )


def refusals(*args: object, **kwargs: object) -> list[tuple[str, str]]:
    with pytest.raises(InvalidRequest) as caught:
        chosen(*args, **kwargs)  # type: ignore[arg-type]
    return [(v.field, v.message) for v in caught.value.violations]


def test_the_only_target_and_all_features_are_the_default() -> None:
    choice = chosen(dataset(RSI, ADX, NEXT, CLOSE, MARKET, SPARE))
    assert (choice.target, choice.features) == ("TGT_NEXT", ("RSI", "ADX"))
    assert (choice.horizon_bars, choice.cautions) == (6, ())


def test_one_of_several_targets_must_be_named() -> None:
    [(field, message)] = refusals(BOTH)
    assert field == "spec.target_column"
    assert "must be named, since the dataset has 2: TGT_NEXT, TGT_LATER" in message


def test_without_a_target_column_one_must_be_named() -> None:
    assert "no column of the dataset has that role" in refusals(dataset(RSI))[0][1]


def test_every_wrong_column_is_told_at_once() -> None:
    told = refusals(BOTH, "TGT_NEXT", ("RSI", "RSI", "TGT_NEXT", "NOPE", "close", "market"))
    assert [field for field, _ in told] == ["spec.feature_columns"] * 5
    text = " ".join(message for _, message in told)
    for part in ("more than once", "is the target", "no such column", "of the bars", "is text"):
        assert part in text


def test_another_target_is_no_feature() -> None:
    assert "looks ahead" in refusals(BOTH, "TGT_NEXT", ("RSI", "TGT_LATER"))[0][1]


def test_a_column_kept_as_extra_may_be_learned_from_when_asked_for() -> None:
    assert chosen(BOTH, "TGT_NEXT", ("SPARE",)).features == ("SPARE",)


def test_a_dataset_without_features_is_refused() -> None:
    assert "no column of that role" in refusals(dataset(NEXT))[0][1]


def test_an_unknown_target_names_the_dataset_and_its_version() -> None:
    assert "eurusd_1h version 2 has no such column" in refusals(BOTH, "TGT_X")[0][1]


def test_a_gap_smaller_than_the_horizon_warns() -> None:
    assert [c.reason for c in chosen(BOTH, "TGT_NEXT", gap=5).cautions] == ["GAP_BELOW_HORIZON"]
    assert chosen(BOTH, "TGT_NEXT", gap=6).cautions == ()


def test_an_unknown_horizon_is_taken_from_the_lookahead_with_a_warning() -> None:
    choice = chosen(BOTH, "TGT_LATER", gap=6)
    assert choice.horizon_bars == 7
    assert [c.reason for c in choice.cautions] == ["HORIZON_ASSUMED", "GAP_BELOW_HORIZON"]


def test_a_horizon_that_nothing_says_is_asked_for_and_never_guessed_as_none() -> None:
    ended = replace(BOTH, facts=replace(BOTH.facts, lookahead_rows=0))
    field, sentence = refusals(ended, "TGT_LATER")[0]
    assert (field, sentence[:10]) == ("spec.horizon_bars", "is missing")
    assert chosen(ended, "TGT_LATER", horizon=30).horizon_bars == 30


def test_the_request_may_state_the_horizon() -> None:
    assert chosen(BOTH, "TGT_LATER", horizon=3).cautions == ()
    assert chosen(BOTH, "TGT_NEXT", horizon=12).horizon_bars == 12


def test_a_stated_horizon_below_the_columns_own_warns() -> None:
    choice = chosen(BOTH, "TGT_NEXT", horizon=2)
    assert choice.horizon_bars == 2
    assert [c.reason for c in choice.cautions] == ["HORIZON_BELOW_COLUMN"]
