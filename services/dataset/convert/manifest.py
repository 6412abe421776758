"""Manifests and datasets to protobuf, and the claims of a manifest that comes along."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, TypeVar

from stage1.dataset.v1 import dataset_pb2, import_pb2

from services.dataset.convert.checks import Checks
from services.dataset.domain.calendars import Gap
from services.dataset.domain.catalogue import Dataset, Published
from services.dataset.domain.columns import (
    MAX_COLUMNS,
    MAX_NAME_BYTES,
    Column,
    ColumnType,
    Role,
    Table,
)
from services.dataset.domain.manifest import ClaimedColumn, Manifest
from services.dataset.domain.timeline import MAX_GAPS, GapPolicy, TimestampConvention

TABLES: Final = {
    dataset_pb2.TABLE_OHLCV: Table.OHLCV,
    dataset_pb2.TABLE_INDICATORS: Table.INDICATORS,
    dataset_pb2.TABLE_JOINED: Table.JOINED,
}
CONVENTIONS: Final = {
    dataset_pb2.TIMESTAMP_CONVENTION_UNSPECIFIED: TimestampConvention.OPEN,
    dataset_pb2.TIMESTAMP_CONVENTION_OPEN: TimestampConvention.OPEN,
    dataset_pb2.TIMESTAMP_CONVENTION_CLOSE: TimestampConvention.CLOSE,
}
POLICIES: Final = {
    dataset_pb2.GAP_POLICY_UNSPECIFIED: GapPolicy.MARK,
    dataset_pb2.GAP_POLICY_MARK: GapPolicy.MARK,
    dataset_pb2.GAP_POLICY_REJECT: GapPolicy.REJECT,
}
_ROLES: Final[dict[dataset_pb2.Column.Role.ValueType, Role | None]] = {
    dataset_pb2.Column.ROLE_UNSPECIFIED: None,
    dataset_pb2.Column.ROLE_FEATURE: Role.FEATURE,
    dataset_pb2.Column.ROLE_TARGET: Role.TARGET,
    dataset_pb2.Column.ROLE_PRICE: Role.PRICE,
    dataset_pb2.Column.ROLE_EXTRA: Role.EXTRA,
}
_TYPES: Final[dict[dataset_pb2.Column.Type.ValueType, ColumnType | None]] = {
    dataset_pb2.Column.TYPE_UNSPECIFIED: None,
    dataset_pb2.Column.TYPE_FLOAT64: ColumnType.FLOAT64,
    dataset_pb2.Column.TYPE_STRING: ColumnType.STRING,
}
_COLUMN_TABLES: Final[dict[dataset_pb2.Table.ValueType, Table | None]] = {
    dataset_pb2.TABLE_UNSPECIFIED: None,
    dataset_pb2.TABLE_OHLCV: Table.OHLCV,
    dataset_pb2.TABLE_INDICATORS: Table.INDICATORS,
}

Number = TypeVar("Number", bound=int)
Value = TypeVar("Value")

# Fields that the rows or the header decide; ids, tables and times are ours to choose.
_CLAIMABLE: Final = (
    *("dataset_slug", "symbol", "granularity", "source", "content_hash"),
    *("bar_interval_ms", "lookback_rows", "lookahead_rows", "ohlcv_rows", "indicator_rows"),
    *("first_ohlcv_timestamp_ms", "last_ohlcv_timestamp_ms"),
    *("first_indicator_timestamp_ms", "last_indicator_timestamp_ms"),
)
_LONGEST: Final = {
    "dataset_slug": 48,
    "symbol": 64,
    "granularity": 16,
    "source": 200,
    "calendar": 16,
    "content_hash": 64,
}


def backwards(known: Mapping[Number, Value]) -> dict[Value, Number]:
    """Of several numbers for one value the last: the unspecified one stands first."""
    return {value: number for number, value in known.items()}


_TABLE_NUMBERS: Final = backwards(TABLES)
_CONVENTION_NUMBERS: Final = backwards(CONVENTIONS)
_POLICY_NUMBERS: Final = backwards(POLICIES)
ROLE_NUMBERS: Final = backwards(_ROLES)
TYPE_NUMBERS: Final = backwards(_TYPES)


def dataset_to_proto(dataset: Dataset) -> dataset_pb2.Dataset:
    return dataset_pb2.Dataset(
        dataset_id=str(dataset.dataset_id),
        slug=dataset.slug,
        symbol=dataset.symbol,
        granularity=dataset.granularity,
        source=dataset.source,
        version=dataset.version,
        manifest=manifest_to_proto(dataset.manifest),
        metadata=dataset.metadata,
        created_at_ms=dataset.created_at_ms,
        updated_at_ms=dataset.updated_at_ms,
    )


def manifest_to_proto(manifest: Manifest) -> dataset_pb2.Manifest:
    return dataset_pb2.Manifest(
        version=manifest.version,
        dataset_id=str(manifest.dataset_id),
        dataset_slug=manifest.dataset_slug,
        symbol=manifest.symbol,
        granularity=manifest.granularity,
        source=manifest.source,
        bar_interval_ms=manifest.bar_interval_ms,
        lookback_rows=manifest.lookback_rows,
        lookahead_rows=manifest.lookahead_rows,
        first_ohlcv_timestamp_ms=manifest.first_ohlcv_timestamp_ms,
        last_ohlcv_timestamp_ms=manifest.last_ohlcv_timestamp_ms,
        first_indicator_timestamp_ms=manifest.first_indicator_timestamp_ms,
        last_indicator_timestamp_ms=manifest.last_indicator_timestamp_ms,
        ohlcv_rows=manifest.ohlcv_rows,
        indicator_rows=manifest.indicator_rows,
        ohlcv_measurement=manifest.ohlcv_measurement,
        indicator_measurement=manifest.indicator_measurement or "",
        columns=[column_to_proto(column) for column in manifest.columns],
        calendar=manifest.calendar,
        timestamp_convention=_CONVENTION_NUMBERS[manifest.timestamp_convention],
        gap_policy=_POLICY_NUMBERS[manifest.gap_policy],
        gaps=[
            dataset_pb2.Gap(after_ms=gap.after_ms, before_ms=gap.before_ms, missing=gap.missing)
            for gap in manifest.gaps
        ],
        content_hash=manifest.content_hash,
        exported_at_ms=manifest.exported_at_ms,
    )


def report_to_proto(published: Published) -> import_pb2.ImportReport:
    report, manifest = published.report, published.dataset.manifest
    return import_pb2.ImportReport(
        notes=report.notes,
        warnings=report.warnings,
        columns=[column_to_proto(column) for column in manifest.columns],
        trimmed_head_rows=report.trimmed_head_rows,
        trimmed_tail_rows=report.trimmed_tail_rows,
        missing_slots=sum(gap.missing for gap in manifest.gaps),
    )


def column_to_proto(column: Column) -> dataset_pb2.Column:
    return dataset_pb2.Column(
        name=column.name,
        type=TYPE_NUMBERS[column.type],
        role=ROLE_NUMBERS[column.role],
        horizon_bars=column.horizon_bars,
        table=_TABLE_NUMBERS[column.table],
        null_count=column.null_count,
    )


def claims(checks: Checks, field: str, claimed: dataset_pb2.Manifest) -> dict[str, Any]:
    """What is set in a manifest that came along, under the names of our own."""
    for name, longest in _LONGEST.items():
        checks.as_sent(f"{field}.{name}", getattr(claimed, name), longest)
    checks.at_most(f"{field}.columns", len(claimed.columns), 2 * MAX_COLUMNS)
    checks.at_most(f"{field}.gaps", len(claimed.gaps), MAX_GAPS)
    found: dict[str, Any] = {
        descriptor.name: value
        for descriptor, value in claimed.ListFields()
        if descriptor.name in _CLAIMABLE
    }
    if claimed.calendar:
        found["calendar"] = claimed.calendar
    if claimed.timestamp_convention:
        found["timestamp_convention"] = checks.one_of(
            f"{field}.timestamp_convention",
            claimed.timestamp_convention,
            CONVENTIONS,
            TimestampConvention.OPEN,
        )
    if claimed.gap_policy:
        found["gap_policy"] = checks.one_of(
            f"{field}.gap_policy", claimed.gap_policy, POLICIES, GapPolicy.MARK
        )
    if claimed.gaps:
        found["gaps"] = tuple(
            Gap(after_ms=gap.after_ms, before_ms=gap.before_ms, missing=gap.missing)
            for gap in claimed.gaps
        )
    if claimed.columns:
        found["columns"] = tuple(
            _claimed_column(checks, f"{field}.columns[{i}]", column)
            for i, column in enumerate(claimed.columns)
        )
    return found


def _claimed_column(checks: Checks, field: str, column: dataset_pb2.Column) -> ClaimedColumn:
    said = {
        "table": checks.one_of(f"{field}.table", column.table, _COLUMN_TABLES, None),
        "type": checks.one_of(f"{field}.type", column.type, _TYPES, None),
        "role": checks.one_of(f"{field}.role", column.role, _ROLES, None),
        "null_count": column.null_count or None,
        "horizon_bars": column.horizon_bars if column.HasField("horizon_bars") else None,
    }
    checked = checks.as_sent(f"{field}.name", column.name, MAX_NAME_BYTES)
    return ClaimedColumn(checked, {name: is_ for name, is_ in said.items() if is_ is not None})
