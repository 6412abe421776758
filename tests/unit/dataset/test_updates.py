"""What is said of a dataset, changed."""

from __future__ import annotations

from dataclasses import replace
from uuid import UUID

import pytest

from services.dataset.domain.catalogue import Dataset
from services.dataset.domain.updates import Update, updated
from services.shared.errors import InvalidRequest
from tests.unit.dataset.bars import hourly
from tests.unit.dataset.test_verification import manifest_of

DATASET = Dataset(
    dataset_id=UUID(int=1),
    slug="d",
    symbol="BTC",
    granularity="1h",
    source="here",
    metadata={"desk": "north", "kept": "yes"},
    manifest=manifest_of(hourly(100)),
    created_at_ms=1,
    updated_at_ms=1,
)


def test_what_is_not_named_stays() -> None:
    assert updated(DATASET, Update()) == DATASET
    assert updated(DATASET, Update(source="")) == replace(DATASET, source="")


def test_metadata_is_set_and_removed_key_by_key() -> None:
    update = Update(metadata={"desk": "south", "new": "1"}, removed_metadata=frozenset({"kept"}))
    assert updated(DATASET, update).metadata == {"desk": "south", "new": "1"}
    again = Update(removed_metadata=frozenset({"nobody"}))
    assert updated(DATASET, again) == DATASET


def test_metadata_has_its_bounds_after_the_change() -> None:
    many = {f"k{i}": "v" for i in range(63)}
    with pytest.raises(InvalidRequest, match="would have 65 entries"):
        updated(DATASET, Update(metadata=many))
    fits = Update(metadata=many, removed_metadata=frozenset({"kept"}))
    assert len(updated(DATASET, fits).metadata) == 64


def test_an_update_may_say_nothing() -> None:
    assert Update().says_nothing
    assert not Update(source="").says_nothing
    assert not Update(removed_metadata=frozenset({"a"})).says_nothing
