"""What the import report says of columns: their roles, and what looks wrong about them.

Pure; whole columns at a time, in blocks of columns so that a thousand of them need little memory.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from services.dataset.domain.columns import Role
from services.dataset.formats.columns import BARS
from services.dataset.formats.refusal import named

DISGUISE: Final = 0.999
_BLOCK: Final = 4_000_000  # values
_TARGET_PREFIXES: Final = ("tgt", "target")
_EMPTY: Final = "is empty"
_TOLD: Final = 100  # warnings of one kind

Matrix = NDArray[np.float64]
Centred = tuple[Matrix, Matrix]


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
    told = {name: words for name in roles if (words := _sameness(table[name]))}
    if roles.get("volume") is Role.PRICE and told.get("volume") == _EMPTY:
        told["volume"] = ""  # the reader's notes say so already
    warnings = [
        *_first(_disguised(table, features, chosen)),
        *_first(f"Column {name!r} {words}." for name, words in told.items() if words),
        *_first(_duplicated(table, [name for name in roles if name not in told])),
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


def _sameness(column: pa.ChunkedArray) -> str:
    """What is said of a column that does not vary, else nothing."""
    if column.null_count == len(column):
        return _EMPTY
    limits = pc.min_max(column).as_py()
    if limits["min"] != limits["max"]:
        return ""
    return "has the same value in every row" + (" that has one" if column.null_count else "")


def _disguised(table: pa.Table, features: Sequence[str], targets: Sequence[str]) -> Iterator[str]:
    if not targets:
        return
    goals = _centred(_matrix(table, targets))
    width = max(1, _BLOCK // max(1, table.num_rows))
    for start in range(0, len(features), width):
        block = features[start : start + width]
        correlations = _correlation(_centred(_matrix(table, block)), goals)
        for row, column in np.argwhere(np.abs(correlations) > DISGUISE):
            yield (
                f"Feature {block[row]!r} has a correlation of {correlations[row, column]:.6f} "
                f"with {targets[column]!r}: it may be the target in disguise."
            )


def _correlation(left: Centred, right: Centred) -> Matrix:
    """Pearson's, of each column with each, over the rows where both have a value.

    NaN where fewer than three such rows are left or one side does not vary.
    """
    (x, here), (y, there) = left, right
    n = here.T @ there
    with np.errstate(invalid="ignore", divide="ignore"):
        x_sum, y_sum = x.T @ there, here.T @ y
        x_var = (x * x).T @ there - x_sum * x_sum / n
        y_var = here.T @ (y * y) - y_sum * y_sum / n
        found: Matrix = (x.T @ y - x_sum * y_sum / n) / np.sqrt(x_var * y_var)
    varies = (x_var > 1e-12 * n) & (y_var > 1e-12 * n)
    return np.where((n > 2) & varies, found, np.nan)


def _centred(values: Matrix) -> Centred:
    """Columns of mean 0 and deviation 1 (0 where a value is missing), and where one is not."""
    here = np.isfinite(values)
    count = np.maximum(here.sum(axis=0), 1)
    largest = np.max(np.abs(values), axis=0, where=here, initial=0)
    scaled = np.where(here, values, 0) / np.where(largest > 0, largest, 1)
    centred = np.where(here, scaled - scaled.sum(axis=0) / count, 0)
    deviation = np.sqrt((centred * centred).sum(axis=0) / count)
    # What is left of a constant after rounding is no variation.
    return centred / np.where(deviation > 1e-13, deviation, np.inf), here.astype(np.float64)


def _matrix(table: pa.Table, names: Sequence[str]) -> Matrix:
    columns = [table[name].to_numpy() for name in names]
    return np.column_stack(columns) if columns else np.empty((len(table), 0))


def _duplicated(table: pa.Table, names: Sequence[str]) -> Iterator[str]:
    first: dict[bytes, str] = {}
    copies: defaultdict[str, list[str]] = defaultdict(list)
    for name in names:
        original = first.setdefault(_digest(table[name]), name)
        if original != name:
            copies[original].append(name)
    for original, same in copies.items():
        yield f"Columns {named([original, *same])} hold the same values."


def _digest(column: pa.ChunkedArray) -> bytes:
    digest = hashlib.sha256(str(column.type).encode())
    if pa.types.is_float64(column.type):
        values = column.to_numpy()
        digest.update((np.where(np.isnan(values), np.nan, values) + 0.0).tobytes())
    else:
        digest.update(repr(column.to_pylist()).encode())
    return digest.digest()
