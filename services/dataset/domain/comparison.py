"""Rows of a file held against the rows of a version, by their times."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from services.dataset.domain.findings import NAMED, Finding, Places, told_time
from services.dataset.domain.times import Mask, Times
from services.dataset.domain.verification import TIME, Expected

_SHOWN: Final = 60


class FileComparison:
    """Takes the version's rows in order.

    A partial file covers a part only: rows before its first and after its last are not missed.
    Of a sample, the values are compared; every row of the version is looked for all the same.
    """

    def __init__(
        self, expected: Expected, file: pa.Table, sample_rows: int, *, is_partial: bool
    ) -> None:
        self._expected = expected
        self._is_partial = is_partial
        self._all_times: Times = file[TIME].to_numpy()
        self._missing_columns = [n for n in expected.names if n not in file.column_names]
        self._extra_columns = [n for n in file.column_names if n not in expected.names]
        if 0 < sample_rows < file.num_rows:
            file = file.take(pa.array(_spread(file.num_rows, sample_rows)))
        self._file = file.combine_chunks()
        self._times: Times = self._file[TIME].to_numpy()
        self._next = 0
        self._missing, self._extra = Places(), Places()
        self._differing = 0
        self._told: list[str] = []
        self.compared_rows = 0

    def update(self, batch: pa.RecordBatch) -> None:
        times = batch.column(TIME).to_numpy()
        stop = int(np.searchsorted(self._times, times[-1], side="right"))
        asked = self._times[self._next : stop]
        at = np.minimum(np.searchsorted(times, asked), len(times) - 1)
        found = times[at] == asked
        self._missing.add(asked[~found])
        self._add_extra(times)
        rows = self._next + np.flatnonzero(found)
        self._compare(self._file.take(pa.array(rows)), batch.take(pa.array(at[found])))
        self._next = stop

    def _add_extra(self, times: Times) -> None:
        known = self._all_times
        if self._is_partial:
            times = times[(times >= known[0]) & (times <= known[-1])]
        at = np.minimum(np.searchsorted(known, times), len(known) - 1)
        self._extra.add(times[known[at] != times])

    def _compare(self, file: pa.Table, stored: pa.RecordBatch) -> None:
        self.compared_rows += file.num_rows
        differs = np.zeros(file.num_rows, np.bool_)
        for column in self._expected.columns:
            if column.name in self._missing_columns:
                continue
            theirs, ours = file[column.name].combine_chunks(), stored.column(column.name)
            other = differing(theirs, ours)
            for row in np.flatnonzero(other & ~differs)[: NAMED - len(self._told)]:
                at = told_time(int(stored.column(TIME)[row].as_py()))
                values = f"{_shown(theirs[row])} in the file and {_shown(ours[row])} in the store"
                self._told.append(f"{at}: {column.name} is {values}")
            differs |= other
        self._differing += int(np.count_nonzero(differs))

    def finish(self) -> Iterator[Finding]:
        self._missing.add(self._times[self._next :])
        table = self._expected.table
        if self._missing_columns:
            message = f"{_named(self._missing_columns)} of the version are not in the file."
            yield Finding(reason="FILE_COLUMNS", message=message, subject=table)
        if self._extra_columns:
            message = f"{_named(self._extra_columns)} of the file are not in the version."
            yield Finding(reason="FILE_COLUMNS", message=message, subject=table)
        if self._missing:
            message = f"{self._missing.told('rows of the file')} are not in the version."
            yield Finding(reason="FILE_ROWS_MISSING", message=message, subject=table)
        if self._extra:
            message = (
                f"{self._extra.told('rows of the version')} are not in the file{self._held()}."
            )
            yield Finding(reason="FILE_ROWS_EXTRA", message=message, subject=table)
        if self._differing:
            more = f"; and {self._differing - NAMED} more" if self._differing > NAMED else ""
            told = "; ".join(self._told)
            message = f"{self._differing} rows have other values: {told}{more}."
            yield Finding(reason="FILE_ROWS_DIFFER", message=message, subject=table)

    def _held(self) -> str:
        first, last = (told_time(int(self._all_times[end])) for end in (0, -1))
        return f", which holds {len(self._all_times)} rows from {first} to {last}"


def differing(left: pa.Array, right: pa.Array) -> Mask:
    """Row by row; null and NaN are the same, and so are 0 and -0."""
    if left.type != right.type:
        return np.ones(len(left), np.bool_)
    if pa.types.is_floating(left.type):
        a, b = (side.fill_null(np.nan).to_numpy() for side in (left, right))
        wrong: Mask = (a != b) & ~(np.isnan(a) & np.isnan(b))
        return wrong
    only_one = pc.xor(left.is_null(), right.is_null())
    unequal = pc.not_equal(left.fill_null(""), right.fill_null(""))
    other: Mask = pc.or_(only_one, unequal).to_numpy(zero_copy_only=False)
    return other


def _named(columns: list[str]) -> str:
    return f"{len(columns)} columns ({', '.join(map(repr, columns[:NAMED]))})"


def _spread(rows: int, sample: int) -> NDArray[np.int64]:
    return np.unique(np.linspace(0, rows - 1, sample).round().astype(np.int64))


def _shown(value: pa.Scalar) -> str:
    text = "missing" if value.as_py() is None else str(value.as_py())
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
