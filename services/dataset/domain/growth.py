"""What new rows at the end of a dataset make of its manifest; the rest holds by induction."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from services.dataset.domain.alignment import refuse_misaligned
from services.dataset.domain.columns import ColumnType, Table
from services.dataset.domain.manifest import Manifest, NoIndicators
from services.dataset.domain.sessions import SessionSource
from services.dataset.domain.timeline import GapPolicy, extend
from services.dataset.domain.times import Times
from services.shared.errors import InvalidRequest, Violation

_NAMED = 10


@dataclass(frozen=True, kw_only=True)
class NewRows:
    """`waiting` are the times of bars that had no indicator row yet, no more than there are new
    indicator rows; `nulls` are counted by column."""

    bars: Times
    indicators: Times
    waiting: Times
    nulls: Mapping[str, int]


class Growth(NamedTuple):
    """The manifest but for version, hash and time of export."""

    manifest: Manifest
    warnings: tuple[str, ...]


def grow(
    base: Manifest, new: NewRows, gap_policy: GapPolicy | None, sessions: SessionSource
) -> Growth:
    """Raises InvalidRequest for rows that cannot follow those that are there."""
    added = extend(base, new.bars, gap_policy or base.gap_policy, sessions)
    refuse_misaligned(np.concatenate((new.waiting, new.bars)), new.indicators)
    bars, rows = len(new.bars), len(new.indicators)
    has_indicators = base.indicator_measurement is not None
    manifest = replace(
        base,
        ohlcv_rows=base.ohlcv_rows + bars,
        indicator_rows=base.indicator_rows + rows,
        lookback_rows=base.lookback_rows + (0 if has_indicators else bars),
        lookahead_rows=base.lookahead_rows + (bars - rows if has_indicators else 0),
        last_ohlcv_timestamp_ms=int(new.bars[-1]) if bars else base.last_ohlcv_timestamp_ms,
        last_indicator_timestamp_ms=(
            int(new.indicators[-1]) if rows else base.last_indicator_timestamp_ms
        ),
        gap_policy=GapPolicy.MARK if added.gaps else base.gap_policy,
        gaps=(*base.gaps, *added.gaps),
        columns=tuple(
            replace(column, null_count=column.null_count + new.nulls.get(column.name, 0))
            for column in base.columns
        ),
    )
    return Growth(manifest, added.warnings)


def refuse_other_columns(base: Manifest, table: Table, rows: pa.Table) -> None:
    """Raises InvalidRequest unless the columns are the dataset's, in any order."""
    if table is Table.INDICATORS and base.indicator_measurement is None:
        raise NoIndicators(
            f"Dataset {base.dataset_slug} has bars only: publish a new version to give it "
            "indicators."
        )
    wrong = [Violation(table.value, message) for message in _other_columns(base, table, rows)]
    if wrong:
        raise InvalidRequest(wrong, reason="COLUMNS_DIFFER")


def _other_columns(base: Manifest, table: Table, rows: pa.Table) -> Iterator[str]:
    known = {column.name: column for column in base.columns_of(table)}
    given = rows.column_names[1:]
    if missing := [name for name in known if name not in set(given)]:
        yield f"lacks {_named(missing)} of dataset {base.dataset_slug}"
    if unknown := [name for name in given if name not in known]:
        yield f"has {_named(unknown)}, which dataset {base.dataset_slug} does not have"
    for name in (name for name in given if name in known):
        column, values = known[name], rows[name]
        empty = values.null_count == len(values)
        is_text = pa.types.is_string(values.type)
        if is_text != (column.type is ColumnType.STRING) and not empty:
            held, has = ("text", "numbers") if is_text else ("numbers", "text")
            yield f"holds {held} in {name!r}, where dataset {base.dataset_slug} has {has}"
        elif empty and table is Table.OHLCV and name == "volume" and not column.null_count:
            yield f"has no volume, and every bar of dataset {base.dataset_slug} has one"


def _named(names: list[str]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return f"the columns {', '.join(map(repr, names[:_NAMED]))}{more}"
