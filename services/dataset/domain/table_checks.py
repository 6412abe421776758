"""Everything that is asked of one table of a version, group of rows by group of rows."""

from __future__ import annotations

import pyarrow as pa

from services.dataset.domain.columns import Table
from services.dataset.domain.comparison import FileComparison
from services.dataset.domain.findings import Finding
from services.dataset.domain.records import VersionRecord
from services.dataset.domain.sessions import SessionSource
from services.dataset.domain.time_checks import SlotCheck
from services.dataset.domain.verification import TIME, TableCheck
from services.shared.canonical import TableHash


class TableChecks:
    def __init__(
        self,
        record: VersionRecord,
        table: Table,
        sessions: SessionSource,
        file: pa.Table | None,
        sample_rows: int,
        is_partial: bool,
    ) -> None:
        self.expected = record.expected(table)
        self._rows = TableCheck(self.expected)
        self._slots = SlotCheck(record.manifest, sessions) if table is Table.OHLCV else None
        self._file = None
        if file is not None:
            self._file = FileComparison(self.expected, file, sample_rows, is_partial=is_partial)

    def update(self, group: pa.RecordBatch) -> None:
        """Raises ValueError for what is no rows at all. Blocks."""
        group.validate(full=True)
        self._rows.update(group)
        if self._slots:
            self._slots.update(group.column(TIME).to_numpy())
        if self._file:
            self._file.update(group)

    def finish(self) -> tuple[TableHash, list[Finding]]:
        found, findings = self._rows.finish()
        if self._slots:
            findings += self._slots.finish()
        if self._file:
            findings += self._file.finish()
        return found, findings

    @property
    def compared_rows(self) -> int:
        return self._file.compared_rows if self._file else 0
