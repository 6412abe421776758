from __future__ import annotations

import json
from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from stage1.dataset.v1 import dataset_pb2
from stage1.dataset.v1.dataset_service_pb2 import ImportDatasetResponse, ListDatasetsResponse

from services.dataset.convert.checks import Checks
from services.dataset.convert.manifest import (
    claims,
    dataset_to_proto,
    manifest_to_proto,
    report_to_proto,
)
from services.dataset.domain.calendars import CalendarName, Gap
from services.dataset.domain.catalogue import Dataset, Published, Report
from services.dataset.domain.columns import MAX_COLUMNS, Column, ColumnType, Role, Table
from services.dataset.domain.manifest import (
    Manifest,
    NoIndicators,
    contradictions,
    from_json,
    measurement,
    to_json,
)
from services.dataset.domain.names import is_slug, measurements
from services.dataset.domain.timeline import MAX_GAPS, GapPolicy, TimestampConvention
from services.shared.errors import InvalidRequest
from services.shared.rpc.server import UNARY_MESSAGE_BYTES
from services.shared.uuids import uuid_of

counts = st.integers(0, 2**40)
times = st.integers(-(2**42), 2**42)
texts = st.text(max_size=16).filter(str.isprintable)
gaps = st.builds(Gap, after_ms=times, before_ms=times, missing=counts)
columns = st.builds(
    Column,
    name=texts,
    table=st.sampled_from([Table.OHLCV, Table.INDICATORS]),
    type=st.sampled_from(ColumnType),
    role=st.sampled_from(Role),
    null_count=counts,
    horizon_bars=st.none() | st.integers(1, 100_000),
)


@st.composite
def manifests(draw: st.DrawFn) -> Manifest:
    lookback, indicators, lookahead = draw(counts), draw(st.integers(1, 2**40)), draw(counts)
    return Manifest(
        ohlcv_rows=lookback + indicators + lookahead,
        indicator_rows=indicators,
        lookback_rows=lookback,
        lookahead_rows=lookahead,
        first_ohlcv_timestamp_ms=draw(times),
        last_ohlcv_timestamp_ms=draw(times),
        first_indicator_timestamp_ms=draw(times),
        last_indicator_timestamp_ms=draw(times),
        bar_interval_ms=draw(st.integers(1, 2**40)),
        calendar=draw(st.sampled_from(CalendarName)),
        timestamp_convention=draw(st.sampled_from(TimestampConvention)),
        gap_policy=draw(st.sampled_from(GapPolicy)),
        gaps=tuple(draw(st.lists(gaps, max_size=3))),
        version=draw(st.integers(1, 1000)),
        dataset_id=draw(st.uuids()),
        dataset_slug="slug",
        symbol=draw(texts),
        granularity=draw(texts),
        source=draw(texts),
        ohlcv_measurement="slug_v1_ohlcv_a1",
        indicator_measurement="slug_v1_ind_a1",
        columns=tuple(draw(st.lists(columns, max_size=4, unique_by=lambda c: c.name))),
        content_hash="ab" * 32,
        exported_at_ms=draw(times),
    )


@given(manifests())
def test_a_manifest_comes_back_from_json_as_it_was(manifest: Manifest) -> None:
    assert from_json(json.loads(json.dumps(to_json(manifest)))) == manifest


@given(manifests())
def test_a_manifest_does_not_contradict_itself_over_the_wire(manifest: Manifest) -> None:
    checks = Checks()
    claimed = claims(checks, "expected", manifest_to_proto(manifest))
    checks.done()
    assert list(contradictions(claimed, manifest)) == []


@given(manifests(), st.sampled_from(["ohlcv_rows", "symbol", "calendar", "gaps", "columns"]))
def test_a_claim_that_differs_is_a_contradiction(manifest: Manifest, field: str) -> None:
    other = {
        "ohlcv_rows": manifest.ohlcv_rows + 1,
        "symbol": manifest.symbol + "x",
        "calendar": "XNYS",
        "gaps": (*manifest.gaps, Gap(after_ms=0, before_ms=9, missing=1)),
        "columns": (("no such column", {}),),
    }
    found = dict(contradictions({field: other[field]}, manifest))
    assert list(found) == [field]


SERVICE_S_OWN = {
    *("version", "dataset_id", "exported_at_ms", "ohlcv_measurement", "indicator_measurement"),
}
CLAIMABLE = [f.name for f in dataset_pb2.Manifest.DESCRIPTOR.fields if f.name not in SERVICE_S_OWN]
CLAIMABLE_OF_COLUMNS = [f.name for f in dataset_pb2.Column.DESCRIPTOR.fields]
EXAMPLE = Manifest(
    ohlcv_rows=12,
    indicator_rows=6,
    lookback_rows=3,
    lookahead_rows=3,
    first_ohlcv_timestamp_ms=10,
    last_ohlcv_timestamp_ms=120,
    first_indicator_timestamp_ms=40,
    last_indicator_timestamp_ms=90,
    bar_interval_ms=10,
    calendar=CalendarName.ALWAYS,
    timestamp_convention=TimestampConvention.OPEN,
    gap_policy=GapPolicy.MARK,
    gaps=(Gap(after_ms=10, before_ms=30, missing=1),),
    version=1,
    dataset_id=UUID(int=1),
    dataset_slug="slug",
    symbol="S",
    granularity="1h",
    source="x",
    ohlcv_measurement="slug_v1_ohlcv_a1",
    indicator_measurement="slug_v1_ind_a1",
    columns=(
        Column(
            name="TGT",
            table=Table.INDICATORS,
            type=ColumnType.FLOAT64,
            role=Role.TARGET,
            null_count=1,
            horizon_bars=6,
        ),
    ),
    content_hash="ab" * 32,
    exported_at_ms=1,
)


def otherwise(message: Any, field: str) -> None:
    """Say something else in a field that is a number, a text, an enum or a list of messages."""
    value = getattr(message, field)
    if isinstance(value, str):
        setattr(message, field, f"_{value[1:]}")
    elif isinstance(value, int):
        is_enum = message.DESCRIPTOR.fields_by_name[field].enum_type is not None
        setattr(message, field, 3 - value if is_enum else value + 1)
    else:
        value.add()


def contradicted(claimed: dataset_pb2.Manifest) -> list[str]:
    checks = Checks()
    found = claims(checks, "expected", claimed)
    checks.done()
    return [name for name, _ in contradictions(found, EXAMPLE)]


@pytest.mark.parametrize("field", CLAIMABLE)
def test_every_field_of_a_manifest_that_came_along_is_compared(field: str) -> None:
    claimed = manifest_to_proto(EXAMPLE)
    assert contradicted(claimed) == []
    otherwise(claimed, field)
    assert contradicted(claimed) == [field]


@pytest.mark.parametrize("field", CLAIMABLE_OF_COLUMNS)
def test_every_field_of_its_columns_is_compared(field: str) -> None:
    claimed = manifest_to_proto(EXAMPLE)
    otherwise(claimed.columns[0], field)
    assert contradicted(claimed) == ["columns"]


def test_what_is_not_said_of_a_column_is_not_compared() -> None:
    claimed = dataset_pb2.Manifest(columns=[dataset_pb2.Column(name="TGT")])
    assert contradicted(claimed) == []


def test_the_largest_answer_to_an_import_fits_into_one_message() -> None:
    columns = tuple(
        replace(EXAMPLE.columns[0], name=f"{i:0127}", null_count=2**40, horizon_bars=100_000)
        for i in range(2 * MAX_COLUMNS)
    )
    gap = Gap(after_ms=-(2**42), before_ms=-(2**42), missing=2**30)
    manifest = replace(EXAMPLE, columns=columns, gaps=(gap,) * MAX_GAPS)
    dataset = Dataset(
        dataset_id=manifest.dataset_id,
        slug="s" * 48,
        symbol="\U0001f300" * 64,
        granularity="\U0001f300" * 16,
        source="\U0001f300" * 200,
        metadata={f"{i:064}": "\U0001f300" * 1000 for i in range(64)},
        manifest=manifest,
        created_at_ms=2**42,
        updated_at_ms=2**42,
    )
    told = ("w" * 3000,) * 300
    report = Report(notes=(), warnings=told, trimmed_head_rows=0, trimmed_tail_rows=0)
    published = Published(dataset=dataset, report=report)
    answer = ImportDatasetResponse(
        dataset=dataset_to_proto(dataset), report=report_to_proto(published)
    )
    assert answer.ByteSize() < UNARY_MESSAGE_BYTES


@given(manifests(), st.dictionaries(texts, texts, max_size=5))
def test_no_answer_is_larger_than_is_known_before(
    manifest: Manifest, metadata: dict[str, str]
) -> None:
    dataset = Dataset(
        dataset_id=manifest.dataset_id,
        slug=manifest.dataset_slug,
        symbol=manifest.symbol,
        granularity=manifest.granularity,
        source=manifest.source,
        metadata=metadata,
        manifest=manifest,
        created_at_ms=manifest.last_ohlcv_timestamp_ms,
        updated_at_ms=manifest.exported_at_ms,
    )
    answer = ListDatasetsResponse(datasets=[dataset_to_proto(dataset)])
    assert answer.ByteSize() <= dataset.max_message_bytes


@given(manifests())
def test_rows_that_do_not_add_up_cannot_be_described(manifest: Manifest) -> None:
    with pytest.raises(ValueError, match="are not all bars"):
        replace(manifest, lookback_rows=manifest.lookback_rows + 1)


@given(manifests())
def test_a_dataset_of_bars_alone_has_no_table_of_indicators(manifest: Manifest) -> None:
    assert measurement(manifest, Table.JOINED) == "slug_v1_ind_a1"
    with pytest.raises(NoIndicators):
        measurement(replace(manifest, indicator_measurement=None), Table.INDICATORS)


@pytest.mark.parametrize("text", ["btc_4h_v1", "a", "a" * 48])
def test_slugs(text: str) -> None:
    assert is_slug(text)


@pytest.mark.parametrize("text", ["", "4h", "Btc", "a" * 49, "a-b", "a.b", "a\n", "é", "_a"])
def test_other_texts_are_no_slugs(text: str) -> None:
    assert not is_slug(text)
    with pytest.raises(InvalidRequest, match="a slug begins with a letter"):
        measurements(text, 1, 1)


def test_tables_are_named_by_slug_version_and_attempt() -> None:
    assert measurements("btc_4h_v1", 3, 2) == ("btc_4h_v1_v3_ohlcv_a2", "btc_4h_v1_v3_ind_a2")


@given(st.uuids(), st.from_regex(r"[a-z][a-z0-9_]{0,47}", fullmatch=True))
def test_a_name_is_a_uuid_or_a_slug_and_never_both(id_: UUID, slug: str) -> None:
    for text in (str(id_), str(id_).upper()):
        assert not is_slug(text)
        assert uuid_of(text) == id_
    assert uuid_of(slug) is None
    assert uuid_of(id_.hex) is None


def test_a_uuid_names_a_dataset_and_so_does_a_slug_of_hex_digits() -> None:
    checks = Checks()
    assert checks.name("dataset", str(UUID(int=7))) == UUID(int=7)
    assert checks.name("dataset", "abcdef0123456789abcdef0123456789") == (
        "abcdef0123456789abcdef0123456789"
    )
    assert checks.name("dataset", "No Such") == "No Such"
    with pytest.raises(InvalidRequest, match="neither a slug nor a UUID"):
        checks.done()
