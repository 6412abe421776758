"""What a version holds, in one value: the only description anyone outside reads."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any
from uuid import UUID

from services.dataset.domain.calendars import CalendarName, Gap
from services.dataset.domain.columns import Column, ColumnType, Role, Table
from services.dataset.domain.timeline import GapPolicy, Timeline, TimestampConvention


@dataclass(frozen=True, kw_only=True)
class Manifest(Timeline):
    version: int
    dataset_id: UUID
    dataset_slug: str
    symbol: str
    granularity: str
    source: str
    ohlcv_measurement: str
    indicator_measurement: str | None
    columns: tuple[Column, ...]
    content_hash: str
    exported_at_ms: int

    def columns_of(self, table: Table) -> tuple[Column, ...]:
        return tuple(column for column in self.columns if column.table is table)


def to_json(manifest: Manifest) -> dict[str, Any]:
    """Plain values under the names of the fields; `from_json` undoes it."""
    return {**asdict(manifest), "dataset_id": str(manifest.dataset_id)}


def from_json(plain: Mapping[str, Any]) -> Manifest:
    return Manifest(
        **{
            **plain,
            "dataset_id": UUID(plain["dataset_id"]),
            "calendar": CalendarName(plain["calendar"]),
            "timestamp_convention": TimestampConvention(plain["timestamp_convention"]),
            "gap_policy": GapPolicy(plain["gap_policy"]),
            "gaps": tuple(Gap(**gap) for gap in plain["gaps"]),
            "columns": tuple(_column(column) for column in plain["columns"]),
        }
    )


def _column(plain: Mapping[str, Any]) -> Column:
    return Column(
        **{
            **plain,
            "table": Table(plain["table"]),
            "type": ColumnType(plain["type"]),
            "role": Role(plain["role"]),
        }
    )


def contradictions(claimed: Mapping[str, Any], manifest: Manifest) -> dict[str, str]:
    """Fields of a manifest that came along and are not what the rows say."""
    actual = {name: getattr(manifest, name) for name in claimed}
    return {
        name: f"is {_shown(value)}, but the rows say {_shown(actual[name])}"
        for name, value in claimed.items()
        if actual[name] != value
    }


def _shown(value: object) -> str:
    return f"{len(value)} entries" if isinstance(value, tuple) else str(value)
