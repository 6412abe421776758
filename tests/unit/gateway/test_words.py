from __future__ import annotations

from datetime import UTC, datetime

import pytest
from google.protobuf.struct_pb2 import Struct
from hypothesis import given
from hypothesis import strategies as st
from stage1.dataset.v1 import dataset_pb2

from gateway.http.shapes import words

YEAR_1800, YEAR_2200 = -5_364_662_400_000, 7_258_118_400_000


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ("spec.walk_forward.train_size", "walk_config.train_size"),
        ("spec.learner.seed", "hyperparameters.seed"),
        ("spec.learner.parameters.eta", "hyperparameters.eta"),
        ("spec.target_column", "target_column"),
        ("spec.signal_rules.own_long_threshold", "signal_rules.own_long_threshold"),
        ("header.slug", "slug"),
        ("header.parts[0].separator", "ohlcv_separator"),
        ("header.parts[1]", "indicators"),
        ("header.expected.ohlcv_rows", "manifest.ohlcv_rows"),
        ("ohlcv.date_order", "ohlcv_date_order"),
        ("indicators", "indicators"),
        ("page_size", "limit"),
        ("settings.stop_fraction", "settings.stop_pct"),
        ("specs", "specs"),
    ],
)
def test_a_field_of_a_service_is_named_as_the_caller_knows_it(ours: str, theirs: str) -> None:
    assert words.field(ours) == theirs


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ("header.part", "file"),
        ("header.part.zone", "zone"),
        ("header.part.text_columns", "text_columns"),
        ("ohlcv", "file"),
        ("ohlcv.date_order", "date_order"),
        ("indicators.zone", "zone"),
        ("header.calendar", "calendar"),
    ],
)
def test_a_field_of_a_lone_file_has_no_prefix(ours: str, theirs: str) -> None:
    assert words.field(ours, words.LONE_FILE) == theirs


@given(st.integers(YEAR_1800, YEAR_2200))
def test_an_iso_time_says_the_same_millisecond(ms: int) -> None:
    read = datetime.fromisoformat(words.iso(ms).replace("Z", "+00:00"))
    assert words.iso(ms).endswith("Z")
    assert round((read - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds() * 1000) == ms


@given(st.integers(-(10**6), 10**6))
def test_percent_adds_no_dust(hundredths: int) -> None:
    assert words.percent(hundredths / 10_000) == hundredths / 100


@pytest.mark.parametrize("role", ["feature", "target", "price", "extra"])
def test_a_word_and_its_number_are_one(role: str) -> None:
    number = words.number(dataset_pb2.Column.Role, role, "ROLE_")
    assert words.word(dataset_pb2.Column.Role, number, "ROLE_") == role


def test_no_word_is_the_unspecified_number() -> None:
    assert words.number(dataset_pb2.GapPolicy, None, "GAP_POLICY_") == 0


def test_counts_of_a_struct_are_whole_and_objects_stay_objects() -> None:
    struct = Struct()
    struct.update({"b": {"n_signals": 3, "sum": 2.0}, "a": [1.5, None, "x"], "n_rows": 4})
    plain = words.plain(struct)
    assert plain == {"a": [1.5, None, "x"], "b": {"n_signals": 3, "sum": 2.0}, "n_rows": 4}
    assert isinstance(plain["n_rows"], int)
    assert list(plain) == ["a", "b", "n_rows"]


def test_an_exit_reason_without_another_word_is_kept() -> None:
    assert words.exit_reason("stop") == "stop_loss"
    assert words.exit_reason("trailing_stop") == "trailing_stop"


def test_a_part_is_called_as_the_field_it_came_in() -> None:
    assert words.field("header.parts[0].zone") == "ohlcv_zone"
    assert words.field("header.parts[1]") == "indicators"
    assert words.field("header.parts[0].zone", ["indicators"]) == "indicators_zone"
    assert words.field("header.parts[1].zone", ["indicators"]) == "parts[1].zone"
    assert words.field("header.part.zone", words.LONE_FILE) == "zone"
