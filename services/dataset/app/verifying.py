"""A version read back whole and held against what is recorded of it, and against files.

Rows are read once, in groups of some megabytes; the times of the bars once more, beside
the indicators. What is wrong is told, never mended.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from uuid import UUID, uuid4

import pyarrow as pa

from services.dataset.app.joining import in_step
from services.dataset.app.order import Part, PartBytes
from services.dataset.app.places import Places
from services.dataset.app.preparing import read_all
from services.dataset.domain.columns import Table
from services.dataset.domain.findings import Finding
from services.dataset.domain.manifest import Manifest, measurement
from services.dataset.domain.records import VersionRecord
from services.dataset.domain.sessions import SessionSource
from services.dataset.domain.table_checks import TableChecks
from services.dataset.domain.time_checks import AlignmentCheck
from services.dataset.domain.verification import TIME, columns_differ
from services.dataset.storage.protocol import Catalogue
from services.dataset.storage.spool import Spool
from services.shared.arrow_stream import size_of
from services.shared.canonical import TableHash, content_hash
from services.shared.errors import DataLoss, InvalidRequest, Violation
from services.shared.series import NoSuchTable, Rows, SeriesStore
from services.shared.threads import in_thread

GROUP_BYTES: Final = 8 << 20
PROGRESS_SECONDS: Final = 0.5
FILE_SLOTS: Final = 1
# What reading or judging damaged rows raises; a store that is away is no damage.
_DAMAGE: Final = (NoSuchTable, InvalidRequest, DataLoss, pa.ArrowException, OSError, ValueError)


@dataclass(frozen=True, kw_only=True)
class VerifyOrder:
    """`sample_rows` of each file are compared; 0 means all."""

    name: UUID | str
    version: int | None
    parts: tuple[Part, ...]
    sample_rows: int
    is_partial: bool = False


@dataclass(frozen=True, kw_only=True)
class Progress:
    rows: int
    total_rows: int


@dataclass(frozen=True, kw_only=True)
class VerifyReport:
    findings: tuple[Finding, ...]
    rows: int
    content_hash: str
    compared_rows: int


class Verifying:
    """One verification with files at a time: it holds their tables in memory."""

    def __init__(
        self,
        *,
        catalogue: Catalogue,
        series: SeriesStore,
        spool: Spool,
        places: Places,
        sessions: SessionSource,
    ) -> None:
        self._catalogue = catalogue
        self._series = series
        self._spool = spool
        self._places = places
        self._sessions = sessions
        self._slots = asyncio.Semaphore(FILE_SLOTS)

    async def run(
        self, order: VerifyOrder, pieces: AsyncIterator[PartBytes]
    ) -> AsyncGenerator[Progress | VerifyReport]:
        """Progress at most twice a second, then the report.

        Raises NotFound, DataLoss for a damaged manifest, InvalidRequest for files that break
        a rule, and TooManyImports.
        """
        if not order.parts:
            async with aclosing(self._verify(order, {})) as told:
                async for step in told:
                    yield step
            return
        async with self._uploaded(order, pieces) as paths, self._slots:
            known = (await self._record(order.name, order.version)).manifest
            parts = tuple(part.as_known(known) for part in order.parts)
            files = await in_thread(_files, parts, paths)
            async with aclosing(self._verify(order, files)) as told:
                async for step in told:
                    yield step

    @asynccontextmanager
    async def _uploaded(
        self, order: VerifyOrder, pieces: AsyncIterator[PartBytes]
    ) -> AsyncIterator[list[Path]]:
        with self._places.one():
            async with self._spool.upload(uuid4(), len(order.parts)) as upload:
                async for piece in pieces:
                    await upload.write(piece.part, piece.data)
                upload.close()
                _refuse_missing(upload.missing())
                yield upload.paths

    async def _verify(
        self, order: VerifyOrder, files: Mapping[Table, pa.Table]
    ) -> AsyncGenerator[Progress | VerifyReport]:
        record = await self._record(order.name, order.version)
        _refuse_strange(files, record)
        verification = _Verification(self._series, record)
        pace, total = _Pace(), record.manifest.ohlcv_rows + record.manifest.indicator_rows
        for table in record.tables:
            checks = TableChecks(
                record,
                table,
                self._sessions,
                files.get(table),
                order.sample_rows,
                order.is_partial,
            )
            async with aclosing(verification.read(checks)) as groups:
                async for _ in groups:
                    if pace.is_due():
                        yield Progress(rows=verification.rows, total_rows=total)
        await verification.align()
        if verification.lost_table:
            await self._record(order.name, record.manifest.version)  # deleted meanwhile?
        yield verification.report()

    async def _record(self, name: UUID | str, version: int | None) -> VersionRecord:
        async with self._catalogue.transaction() as catalogue:
            return await catalogue.version_record(name, version)


class _Verification:
    """What was found so far."""

    def __init__(self, series: SeriesStore, record: VersionRecord) -> None:
        self._series = series
        self._record = record
        self._findings = [*record.contradictions()]
        self._hashes: list[TableHash] = []
        self._compared_rows = 0
        self._is_whole = True
        self.rows = 0
        self.lost_table = False

    async def read(self, checks: TableChecks) -> AsyncGenerator[None]:
        """All of one table; gives control back after every group of rows."""
        expected = checks.expected
        try:
            schema = await self._series.schema(expected.table, expected.names)
            if strange := columns_differ(expected, schema):
                self._findings += strange
                self._is_whole = False
                return
            await self._series.bounds(expected.table)  # what is on the disk now is to be judged
            rows = self._series.read(expected.table, expected.names, below_ms=expected.last_ms + 1)
            async with aclosing(rows), aclosing(_grouped(rows)) as groups:
                async for group in groups:
                    await in_thread(checks.update, group)
                    self.rows += group.num_rows
                    yield
        except _DAMAGE as error:
            self._add_damage(error, expected.table)
        else:
            self._finish(checks)

    def _finish(self, checks: TableChecks) -> None:
        found, findings = checks.finish()
        self._hashes.append(found)
        self._findings += findings
        self._compared_rows += checks.compared_rows
        self._is_whole &= found.rows == checks.expected.rows

    async def align(self) -> None:
        """Where all tables are whole; what is missing is told already."""
        manifest = self._record.manifest
        if not self._is_whole or manifest.indicator_measurement is None:
            return
        check = AlignmentCheck(manifest)
        first = manifest.lookback_rows
        bars = self._times(manifest, Table.OHLCV, first)
        indicators = self._times(manifest, Table.INDICATORS, 0)
        pairs = in_step(indicators, bars)
        try:
            async with aclosing(bars), aclosing(indicators), aclosing(pairs):
                async for one, other in pairs:
                    check.update(one.column(0).to_numpy(), other.column(0).to_numpy())
        except _DAMAGE as error:
            self._add_damage(error, manifest.ohlcv_measurement)
        self._findings += check.finish()

    def _times(
        self, manifest: Manifest, table: Table, first: int
    ) -> AsyncGenerator[pa.RecordBatch]:
        span = Rows(first, first + manifest.indicator_rows)
        return self._series.read(measurement(manifest, table), [TIME], span=span)

    def report(self) -> VerifyReport:
        manifest = self._record.manifest
        found = ""
        if len(self._hashes) == len(self._record.tables):
            found = content_hash(*self._hashes)
            if found != manifest.content_hash:
                message = (
                    f"The rows have the hash {found}, and {manifest.content_hash} was published."
                )
                subject = manifest.dataset_slug
                self._findings.append(
                    Finding(reason="CONTENT_HASH", message=message, subject=subject)
                )
        return VerifyReport(
            findings=tuple(self._findings),
            rows=self.rows,
            content_hash=found,
            compared_rows=self._compared_rows,
        )

    def _add_damage(self, error: Exception, table: str) -> None:
        self._is_whole = False
        reason, message = "UNREADABLE", f"The rows cannot be read: {error}"
        if isinstance(error, NoSuchTable):
            self.lost_table = True
            reason, message = "MISSING_TABLE", str(error)
        elif isinstance(error, InvalidRequest):
            reason = "COLUMNS"
        self._findings.append(Finding(reason=reason, message=message, subject=table))


class _Pace:
    def __init__(self) -> None:
        self._now = asyncio.get_running_loop().time
        self._told_at = self._now()

    def is_due(self) -> bool:
        if self._now() - self._told_at < PROGRESS_SECONDS:
            return False
        self._told_at = self._now()
        return True


async def _grouped(batches: AsyncIterator[pa.RecordBatch]) -> AsyncGenerator[pa.RecordBatch]:
    """Enough rows at a time that looking at a thousand columns costs little."""
    held: list[pa.RecordBatch] = []
    size = 0
    async for batch in batches:
        held.append(batch)
        size += size_of(batch)
        if size >= GROUP_BYTES:
            yield pa.concat_batches(held)
            held, size = [], 0
    if held:
        yield pa.concat_batches(held)


def _files(parts: tuple[Part, ...], paths: list[Path]) -> dict[Table, pa.Table]:
    return {table: file.table for table, file in read_all(parts, paths).items()}


def _refuse_missing(parts: list[int]) -> None:
    if parts:
        raise InvalidRequest([Violation(f"header.parts[{i}]", "has no bytes") for i in parts])


def _refuse_strange(files: Mapping[Table, pa.Table], record: VersionRecord) -> None:
    if Table.INDICATORS in files and Table.INDICATORS not in record.tables:
        message = f"has indicators, and {record.manifest.dataset_slug} has none"
        raise InvalidRequest([Violation("header.parts", message)])
