"""What the import report says of columns: their roles, and what looks wrong about them.

Pure; the rows come in batches and are gone through a few times, so that any number needs little
memory.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from services.dataset.domain.columns import Role
from services.dataset.formats.columns import BARS
from services.dataset.formats.correlation import correlations
from services.dataset.formats.refusal import named
from services.shared.canonical import TableHasher, column_types

DISGUISE: Final = 0.999
_BLOCK: Final = 1_000_000  # values
_TARGET_PREFIXES: Final = ("tgt", "target")
_EMPTY: Final = "is empty"
_TOLD: Final = 100  # warnings of one kind


@dataclass(frozen=True)
class Description:
    roles: Mapping[str, Role]
    warnings: tuple[str, ...]


def describe(table: pa.Table, targets: Sequence[str] | None = None) -> Description:
    """Roles and warnings of a table that `read` gave.

    Targets are the columns named `tgt*` or `target*` in any case, unless `targets` names them. A
    table with open, high, low, close is one of bars: its columns are prices and extras. Text is
    extra in both.
    """
    roles = _roles(table, targets)
    features = [name for name, role in roles.items() if role is Role.FEATURE]
    chosen = [name for name, role in roles.items() if role is Role.TARGET]
    ranges = _ranges(table)
    told = {name: words for name in roles if (words := _sameness(ranges[name], table.num_rows))}
    if roles.get("volume") is Role.PRICE and told.get("volume") == _EMPTY:
        told["volume"] = ""  # the reader's notes say so already
    warnings = [
        *_first(_disguised(table, features, chosen)),
        *_first(f"Column {name!r} {words}." for name, words in told.items() if words),
        *_first(_duplicated(table, {n: r for n, r in ranges.items() if n not in told})),
    ]
    return Description(roles, tuple(warnings))


def _first(warnings: Iterable[str]) -> Iterator[str]:
    """A thousand copies of a target would make a million sentences."""
    for count, warning in enumerate(warnings):
        if count == _TOLD:
            yield "There are more warnings of this kind."
            return
        yield warning


def _roles(table: pa.Table, targets: Sequence[str] | None) -> dict[str, Role]:
    names = table.column_names[1:]
    bars = set(BARS) <= set(names)
    roles = {}
    for name in names:
        is_target = name in targets if targets is not None else _is_named_target(name)
        if not pa.types.is_float64(table[name].type):
            roles[name] = Role.EXTRA
        elif bars:
            roles[name] = Role.PRICE if name in BARS else Role.EXTRA
        else:
            roles[name] = Role.TARGET if is_target else Role.FEATURE
    return roles


def _is_named_target(name: str) -> bool:
    """In any case: a target that passes for a feature is a look into the future."""
    return name.lower().startswith(_TARGET_PREFIXES)


@dataclass(frozen=True)
class Range:
    """Least and largest value of a column, None without any, and how many nulls it has."""

    least: Any
    largest: Any
    nulls: int


def _batches(table: pa.Table) -> Iterator[pl.DataFrame]:
    rows = max(1, _BLOCK // table.num_columns)
    for batch in table.to_batches(max_chunksize=rows):
        if batch.num_rows:
            yield pl.DataFrame(batch)


def _ranges(table: pa.Table) -> dict[str, Range]:
    return {name: _range(table[name]) for name in table.column_names[1:]}


def _range(column: pa.ChunkedArray) -> Range:
    found = pc.min_max(column).as_py()
    return Range(found["min"], found["max"], column.null_count)


def _sameness(column: Range, rows: int) -> str:
    """What is said of a column that does not vary, else nothing."""
    if column.nulls == rows:
        return _EMPTY
    if column.least != column.largest:
        return ""
    return "has the same value in every row" + (" that has one" if column.nulls else "")


def _disguised(table: pa.Table, features: Sequence[str], targets: Sequence[str]) -> Iterator[str]:
    if not targets or not features:
        return
    wanted = table.select([*features, *targets])
    found = correlations(lambda: _batches(wanted), features, targets)
    for row, column in np.argwhere(np.abs(found) > DISGUISE):
        yield (
            f"Feature {features[row]!r} has a correlation of {found[row, column]:.6f} "
            f"with {targets[column]!r}: it may be the target in disguise."
        )


def _duplicated(table: pa.Table, ranges: Mapping[str, Range]) -> Iterator[str]:
    """Only columns of the same range are hashed."""
    alike: defaultdict[tuple[Any, ...], list[str]] = defaultdict(list)
    for name, range_ in ranges.items():
        alike[(range_.least, range_.largest, range_.nulls)].append(name)
    maybe = [name for names in alike.values() if len(names) > 1 for name in names]
    first: dict[tuple[Any, ...], str] = {}
    copies: defaultdict[str, list[str]] = defaultdict(list)
    for name in sorted(maybe, key=list(ranges).index):
        original = first.setdefault(_digest(table.select([name])), name)
        if original != name:
            copies[original].append(name)
    for original, same in copies.items():
        yield f"Columns {named([original, *same])} hold the same values."


def _digest(column: pa.Table) -> tuple[Any, ...]:
    hasher = TableHasher(column_types(column.schema))
    for batch in column.to_batches():
        hasher.update(batch)
    return (str(column.schema.types[0]), *hasher.finish().block_hashes)
