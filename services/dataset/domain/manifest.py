"""What a version holds, in one value: the only description anyone outside reads."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final, NamedTuple
from uuid import UUID

from services.dataset.domain.calendars import Gap
from services.dataset.domain.columns import Column, ColumnType, Role, Table
from services.dataset.domain.timeline import GapPolicy, Timeline, TimestampConvention
from services.shared.errors import Conflict

# Numbers of full length, tags and lengths; texts come on top.
_MANIFEST_BYTES: Final = 400
_COLUMN_BYTES: Final = 50
_GAP_BYTES: Final = 35


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

    @property
    def max_message_bytes(self) -> int:
        """An upper bound of its size in an answer, without encoding it."""
        texts = (self.dataset_slug, self.symbol, self.granularity, self.source, self.content_hash)
        tables = (self.ohlcv_measurement, self.indicator_measurement or "")
        names = [*texts, *tables, *(column.name for column in self.columns)]
        counted = _GAP_BYTES * len(self.gaps) + _COLUMN_BYTES * len(self.columns)
        return _MANIFEST_BYTES + counted + sum(len(name.encode()) for name in names)

    def columns_of(self, table: Table) -> tuple[Column, ...]:
        return tuple(column for column in self.columns if column.table is table)


class NoIndicators(Conflict):
    reason = "NO_INDICATORS"


def measurement(manifest: Manifest, table: Table) -> str:
    """The series table; of a join the one whose rows are counted. Raises NoIndicators."""
    if table is Table.OHLCV:
        return manifest.ohlcv_measurement
    if manifest.indicator_measurement is None:
        raise NoIndicators(f"Dataset {manifest.dataset_slug} has bars only, no indicators.")
    return manifest.indicator_measurement


def rows_of(manifest: Manifest, table: Table) -> int:
    return manifest.ohlcv_rows if table is Table.OHLCV else manifest.indicator_rows


def watermark(manifest: Manifest, table: Table) -> int:
    """The time from which on the table has no rows for this version: it may have grown since."""
    if table is Table.OHLCV:
        return manifest.last_ohlcv_timestamp_ms + 1
    measurement(manifest, table)
    assert manifest.last_indicator_timestamp_ms is not None
    return manifest.last_indicator_timestamp_ms + 1


def to_json(manifest: Manifest) -> dict[str, Any]:
    """Plain values under the names of the fields; `from_json` undoes it."""
    return {**asdict(manifest), "dataset_id": str(manifest.dataset_id)}


def from_json(plain: Mapping[str, Any]) -> Manifest:
    return Manifest(
        **{
            **plain,
            "dataset_id": UUID(plain["dataset_id"]),
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


class ClaimedColumn(NamedTuple):
    """What was said of a column, under the names of a Column's fields."""

    name: str
    said: Mapping[str, object]


def contradictions(claimed: Mapping[str, Any], manifest: Manifest) -> Iterator[tuple[str, str]]:
    """Fields of a manifest that came along which are not what the rows say, and how."""
    for name, value in claimed.items():
        if name == "columns":
            columns = {column.name: column for column in manifest.columns}
            yield from ((name, message) for message in _strange_columns(value, columns))
        elif value != (actual := getattr(manifest, name)):
            yield name, f"is {_shown(value)}, but the files say {_shown(actual)}"


def _strange_columns(
    claimed: Iterable[ClaimedColumn], columns: Mapping[str, Column]
) -> Iterator[str]:
    for name, said in claimed:
        if name not in columns:
            yield f"has {name!r}, which no file has"
            continue
        actual = {field: getattr(columns[name], field) for field in said}
        for field in (field for field in said if said[field] != actual[field]):
            words = f"with the {field} {said[field]}, but the files say {_shown(actual[field])}"
            yield f"has {name!r} {words}"


def _shown(value: object) -> str:
    if value is None:
        return "nothing"
    return f"{len(value)} gaps" if isinstance(value, tuple) else str(value)
